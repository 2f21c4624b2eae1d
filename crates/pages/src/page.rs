//! Pages of the tree: a bucket of few leaves, or a branch to sixteen pages.
//!
//! Which pages there are follows from the leaves alone: below a path lie at most `BUCKET_MAX` leaves, and it is a bucket, or more,
//! and it is a branch. A page's digest is the digest that `crypto::sparse` has at its path, so pages change nothing of the root.

use std::sync::Arc;

use crypto::Digest;
use crypto::sparse::{bit, branch_digest};

use crate::leaf::{Leaf, take};
use crate::path::{Path, WAYS};

/// Leaves of the largest bucket.
pub const BUCKET_MAX: u64 = 32;

const BUCKET_KIND: u8 = 1;
const BRANCH_KIND: u8 = 2;

/// About what a branch takes in memory, and a bucket without its leaves and digests.
const BRANCH_BYTES: usize = 1_536;
const BUCKET_BYTES: usize = 112;

/// Some of the tree.
#[derive(Clone, Debug)]
pub(crate) enum Page<L: Leaf> {
    Bucket(Bucket<L>),
    Branch(Box<Branch<L>>),
}

/// Few leaves, with digests above them.
#[derive(Clone, Debug)]
pub(crate) struct Bucket<L: Leaf> {
    /// In order of their keys.
    leaves: Vec<Arc<L>>,
    inner: Inner,
}

/// Digests of a bucket's binary tree over the next four bits of its leaves' keys, numbered as in a branch: what did not change is not
/// digested again. Most buckets are small, so that only nodes with two leaves and more are here.
#[derive(Clone, Debug, Default)]
struct Inner {
    /// Which nodes these are, a bit each.
    nodes: u16,
    digests: Box<[Digest]>,
}

impl Inner {
    /// Each at its node.
    fn spread(&self) -> [Digest; WAYS] {
        let (mut all, mut digests) = ([Digest::ZERO; WAYS], self.digests.iter());
        for (node, place) in all.iter_mut().enumerate() {
            if self.nodes & bit_of(node) != 0 {
                *place = digests.next().copied().unwrap_or(Digest::ZERO);
            }
        }
        all
    }

    /// What is at these nodes.
    fn gathered(nodes: u16, all: &[Digest; WAYS]) -> Self {
        let own = all.iter().enumerate().filter(|(node, _)| nodes & bit_of(*node) != 0);
        Self { nodes, digests: own.map(|(_, digest)| *digest).collect() }
    }

    fn top(&self) -> Digest {
        self.digests.first().copied().unwrap_or(Digest::ZERO)
    }
}

/// What a page names another by.
#[derive(Clone, Debug)]
pub(crate) struct Link<L: Leaf> {
    pub digest: Digest,
    /// Leaves below it, at least one.
    pub leaves: u64,
    /// The page, where it is in memory for its own sake; else it is on the disk.
    pub held: Option<Held<L>>,
}

/// A page that was made since the process began.
#[derive(Clone, Debug)]
pub(crate) struct Held<L: Leaf> {
    pub page: Arc<Page<L>>,
    /// Between which two marks it was made.
    pub age: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Branch<L: Leaf> {
    pub links: [Option<Link<L>>; WAYS],
    /// Digests of the binary tree above them: 1 is the top, those below n are 2n and 2n + 1; 0 is unused.
    inner: [Digest; WAYS],
}

impl<L: Leaf> Page<L> {
    /// Its digest, at the path that it was made for.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Bucket(bucket) => bucket.digest(),
            Self::Branch(branch) => branch.digest(),
        }
    }

    /// Leaves below it.
    pub fn leaves(&self) -> u64 {
        match self {
            Self::Bucket(bucket) => u64::try_from(bucket.leaves.len()).unwrap_or(u64::MAX),
            Self::Branch(branch) => branch.leaves(),
        }
    }

    /// About what it takes in memory, without other pages.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bucket(bucket) => {
                bucket.leaves.iter().fold(bucket.own_bytes(), |sum, leaf| sum.saturating_add(leaf.bytes()))
            }
            Self::Branch(_) => BRANCH_BYTES,
        }
    }

    /// What making it took in memory, where its leaves were there before.
    pub fn own_bytes(&self) -> usize {
        match self {
            Self::Bucket(bucket) => bucket.own_bytes(),
            Self::Branch(_) => BRANCH_BYTES,
        }
    }

    /// As it lies on the disk and goes to others.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Bucket(bucket) => {
                out.push(BUCKET_KIND);
                out.push(u8::try_from(bucket.leaves.len()).unwrap_or(u8::MAX));
                bucket.leaves.iter().for_each(|leaf| leaf.write(&mut out));
            }
            Self::Branch(branch) => {
                out.push(BRANCH_KIND);
                let is_there = |(way, link): (usize, &Option<Link<L>>)| u16::from(link.is_some()) << way;
                let ways = branch.links.iter().enumerate().map(is_there).fold(0, |ways, way| ways | way);
                out.extend_from_slice(&ways.to_be_bytes());
                for link in branch.links.iter().flatten() {
                    out.extend_from_slice(&link.digest.0);
                    out.extend_from_slice(&link.leaves.to_be_bytes());
                }
            }
        }
        out
    }

    /// Reads a page at its path; `None` for what no page there is written as. What it says is not believed yet: see `Link::names`.
    pub fn read(mut bytes: &[u8], path: &Path) -> Option<Self> {
        let [kind] = take(&mut bytes)?;
        let page = match kind {
            BUCKET_KIND => {
                let [count] = take(&mut bytes)?;
                let count = Some(count).filter(|count| (1..=BUCKET_MAX).contains(&u64::from(*count)))?;
                let leaves = (0..count).map(|_| L::read(&mut bytes).map(Arc::new));
                let leaves: Vec<Arc<L>> = leaves.collect::<Option<_>>()?;
                let sorted = leaves.windows(2).all(|pair| matches!(pair, [low, high] if low.key() < high.key()));
                let at_home = leaves.iter().all(|leaf| path.leads_to(leaf.key()));
                (sorted && at_home).then(|| Self::Bucket(Bucket::of(leaves, path)))?
            }
            BRANCH_KIND => {
                let ways = u16::from_be_bytes(take(&mut bytes)?);
                let mut links = [const { None }; WAYS];
                for (way, place) in links.iter_mut().enumerate() {
                    if ways & bit_of(way) != 0 {
                        let digest = Digest(take(&mut bytes)?);
                        let leaves = Some(u64::from_be_bytes(take(&mut bytes)?)).filter(|leaves| *leaves > 0)?;
                        *place = Some(Link { digest, leaves, held: None });
                    }
                }
                Self::Branch(Box::new(Branch::of(links)))
            }
            _ => return None,
        };
        let is_right_kind = matches!(page, Self::Bucket(_)) == (page.leaves() <= BUCKET_MAX);
        (bytes.is_empty() && is_right_kind).then_some(page)
    }
}

impl<L: Leaf> Link<L> {
    /// To a page that was made just now.
    pub fn to(page: Page<L>, age: u64) -> Self {
        let (digest, leaves) = (page.digest(), page.leaves());
        Self { digest, leaves, held: Some(Held { page: Arc::new(page), age }) }
    }

    /// Whether the page is the one that this link names.
    pub fn names(&self, page: &Page<L>) -> bool {
        page.leaves() == self.leaves && page.digest() == self.digest
    }

    /// The link without a page that the disk has.
    pub fn resting(&self, age: u64) -> Self {
        let held = self.held.clone().filter(|held| held.age > age);
        Self { digest: self.digest, leaves: self.leaves, held }
    }
}

impl<L: Leaf> Bucket<L> {
    /// Of these leaves, in order, at this path.
    pub fn of(leaves: Vec<Arc<L>>, path: &Path) -> Self {
        Self::refreshed(leaves, &Inner::default(), u16::MAX, path)
    }

    /// The bucket at the same path with these leaves, which differ from its own in these ways only, a bit each.
    pub fn with(&self, leaves: Vec<Arc<L>>, changed: u16, path: &Path) -> Self {
        Self::refreshed(leaves, &self.inner, changed, path)
    }

    fn refreshed(leaves: Vec<Arc<L>>, old: &Inner, changed: u16, path: &Path) -> Self {
        let mut refreshing = Refreshing { nodes: old.nodes, digests: old.spread(), changed };
        refreshing.below(1, &leaves, path.depth());
        Self { leaves, inner: Inner::gathered(refreshing.nodes, &refreshing.digests) }
    }

    pub fn digest(&self) -> Digest {
        match self.leaves.as_slice() {
            [leaf] => leaf.digest(),
            _ => self.inner.top(),
        }
    }

    fn own_bytes(&self) -> usize {
        let leaves = self.leaves.len().saturating_mul(size_of::<Arc<L>>());
        BUCKET_BYTES.saturating_add(leaves).saturating_add(size_of_val(&*self.inner.digests))
    }

    pub fn leaves(&self) -> &[Arc<L>] {
        &self.leaves
    }

    pub fn into_leaves(self) -> Vec<Arc<L>> {
        self.leaves
    }
}

/// Brings the digests of a bucket's binary tree up to date.
struct Refreshing {
    nodes: u16,
    digests: [Digest; WAYS],
    /// The ways that changed, a bit each.
    changed: u16,
}

impl Refreshing {
    /// From a node down, whose leaves these are; the node's own digest.
    fn below<L: Leaf>(&mut self, node: usize, leaves: &[Arc<L>], depth: usize) -> Digest {
        let Some(known) = self.digests.get(node).copied() else { return bucket_digest(leaves, depth) };
        if leaves.len() < 2 {
            self.nodes &= !nodes_below(node);
            return leaves.first().map_or(Digest::ZERO, |leaf| leaf.digest());
        }
        if self.changed & ways_below(node) == 0 {
            return known;
        }
        let (left, deeper) = (node.saturating_mul(2), depth.saturating_add(1));
        let (low, high) = leaves.split_at(leaves.partition_point(|leaf| !bit(leaf.key(), depth)));
        let (low, high) = (self.below(left, low, deeper), self.below(left.saturating_add(1), high, deeper));
        let digest = branch_digest(&low, &high);
        self.nodes |= bit_of(node);
        if let Some(place) = self.digests.get_mut(node) {
            *place = digest;
        }
        digest
    }
}

impl<L: Leaf> Branch<L> {
    pub fn of(links: [Option<Link<L>>; WAYS]) -> Self {
        let mut branch = Self { links, inner: [Digest::ZERO; WAYS] };
        branch.refresh(u16::MAX);
        branch
    }

    pub fn digest(&self) -> Digest {
        self.inner.get(1).copied().unwrap_or(Digest::ZERO)
    }

    pub fn leaves(&self) -> u64 {
        self.links.iter().flatten().fold(0, |sum, link| sum.saturating_add(link.leaves))
    }

    /// Brings the digests up to date after links of these ways, a bit each, were changed.
    pub fn refresh(&mut self, changed: u16) {
        self.refreshed(1, changed);
    }

    fn refreshed(&mut self, node: usize, changed: u16) -> (Digest, u64) {
        if node >= WAYS {
            return self.below(node);
        }
        if changed & ways_below(node) == 0 {
            let digest = self.inner.get(node).copied().unwrap_or(Digest::ZERO);
            return (digest, self.leaves_below(node));
        }
        let left = node.saturating_mul(2);
        let (low, high) = (self.refreshed(left, changed), self.refreshed(left.saturating_add(1), changed));
        let both = joined(low, high);
        if let Some(place) = self.inner.get_mut(node) {
            *place = both.0;
        }
        both
    }

    /// What a node of the binary tree has: digest and leaves.
    pub fn below(&self, node: usize) -> (Digest, u64) {
        match node.checked_sub(WAYS) {
            Some(way) => self
                .links
                .get(way)
                .and_then(Option::as_ref)
                .map_or((Digest::ZERO, 0), |link| (link.digest, link.leaves)),
            None => (self.inner.get(node).copied().unwrap_or(Digest::ZERO), self.leaves_below(node)),
        }
    }

    fn leaves_below(&self, node: usize) -> u64 {
        let ways = ways_below(node);
        let own = self.links.iter().enumerate().filter(|(way, _)| ways & bit_of(*way) != 0);
        own.filter_map(|(_, link)| link.as_ref()).fold(0, |sum, link| sum.saturating_add(link.leaves))
    }
}

/// The bit that stands for a way, or a node.
pub(crate) fn bit_of(place: usize) -> u16 {
    1_u16.checked_shl(u32::try_from(place).unwrap_or(u32::MAX)).unwrap_or(0)
}

/// A node of a page's binary tree and those below it that have two halves each, a bit each.
fn nodes_below(node: usize) -> u16 {
    if !(1..WAYS).contains(&node) {
        return 0;
    }
    let left = node.saturating_mul(2);
    bit_of(node) | nodes_below(left) | nodes_below(left.saturating_add(1))
}

/// The ways, a bit each, below a node of a page's binary tree.
fn ways_below(node: usize) -> u16 {
    match node {
        0 | 1 => u16::MAX,
        2..=3 => 0x00ff << (node & 1).saturating_mul(8),
        4..=7 => 0x000f << (node & 3).saturating_mul(4),
        8..=15 => 0x0003 << (node & 7).saturating_mul(2),
        _ => 1 << (node & 15),
    }
}

/// Two halves as one: a subtree with one leaf is that leaf.
fn joined((low, low_leaves): (Digest, u64), (high, high_leaves): (Digest, u64)) -> (Digest, u64) {
    let leaves = low_leaves.saturating_add(high_leaves);
    let digest = match (low_leaves, high_leaves) {
        (0, 0) => Digest::ZERO,
        (1, 0) => low,
        (0, 1) => high,
        _ => branch_digest(&low, &high),
    };
    (digest, leaves)
}

/// Digest of the subtree of these leaves, in order, from this depth on.
pub(crate) fn bucket_digest<L: Leaf>(leaves: &[Arc<L>], depth: usize) -> Digest {
    match leaves {
        [] => Digest::ZERO,
        [leaf] => leaf.digest(),
        more => {
            let below = depth.saturating_add(1);
            let (low, high) = more.split_at(more.partition_point(|leaf| !bit(leaf.key(), depth)));
            branch_digest(&bucket_digest(low, below), &bucket_digest(high, below))
        }
    }
}
