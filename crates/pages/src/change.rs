//! The tree after changes: pages on the way to what changed are made anew, all others are shared.

use std::sync::Arc;

use crypto::Digest;

use crate::failure::PageError;
use crate::leaf::Leaf;
use crate::page::{BUCKET_MAX, Branch, Bucket, Link, Page, bit_of};
use crate::path::{Path, WAYS};
use crate::tree::Tree;

/// What stands at a key from now on, in order of the keys.
pub type Change<L> = (Digest, Option<Arc<L>>);

impl<L: Leaf> Tree<L> {
    /// Takes over changes in strict order of their keys; the root after them. After a failure it is as it was.
    pub fn apply(&mut self, changes: &[Change<L>]) -> Result<Digest, PageError> {
        let mut maker = Maker::new(self);
        let root = maker.changed(self.root.as_ref(), &Path::ROOT, changes)?;
        let made = maker.bytes.saturating_add(leaf_bytes(changes));
        self.replaced_bytes = self.replaced_bytes.saturating_add(maker.replaced_bytes);
        self.made_bytes = self.made_bytes.saturating_add(made);
        self.root = root;
        Ok(self.root())
    }
}

/// Makes pages; counts what they take.
struct Maker<'a, L: Leaf> {
    tree: &'a Tree<L>,
    bytes: usize,
    /// What held pages took that are replaced.
    replaced_bytes: usize,
}

impl<'a, L: Leaf> Maker<'a, L> {
    pub fn new(tree: &'a Tree<L>) -> Self {
        Self { tree, bytes: 0, replaced_bytes: 0 }
    }

    /// The subtree at `path` after these changes below it.
    pub fn changed(
        &mut self,
        old: Option<&Link<L>>,
        path: &Path,
        changes: &[Change<L>],
    ) -> Result<Option<Link<L>>, PageError> {
        let age = self.tree.resting_age();
        let Some(link) = old else {
            let leaves: Vec<Arc<L>> = changes.iter().filter_map(|(_, leaf)| leaf.clone()).collect();
            return Ok(self.built(leaves, path));
        };
        if changes.is_empty() {
            return Ok(Some(link.resting(age)));
        }
        let page = self.tree.page(path, link)?;
        if link.held.as_ref().is_some_and(|held| held.age > age) {
            self.replaced_bytes = self.replaced_bytes.saturating_add(page.own_bytes());
        }
        let new = match &*page {
            Page::Bucket(bucket) => self.rebuilt(bucket, path, changes),
            Page::Branch(branch) => self.branched(branch, path, changes)?,
        };
        // What comes to the same is the same: it need not be written.
        Ok(new.map(|new| if new.digest == link.digest { link.resting(age) } else { new }))
    }

    fn branched(&mut self, old: &Branch<L>, path: &Path, changes: &[Change<L>]) -> Result<Option<Link<L>>, PageError> {
        let age = self.tree.resting_age();
        let mut branch = old.clone();
        let (mut rest, mut touched) = (changes, 0_u16);
        for (way, place) in branch.links.iter_mut().enumerate() {
            let (own, others) = rest.split_at(rest.partition_point(|(key, _)| path.way(key) == Some(way)));
            rest = others;
            if own.is_empty() {
                *place = place.as_ref().map(|link| link.resting(age));
            } else {
                touched |= bit_of(way);
                *place = self.changed(place.as_ref(), &path.child(way), own)?;
            }
        }
        if branch.leaves() <= BUCKET_MAX {
            let mut left = Vec::new();
            self.tree.gather_below(&branch, path, &mut left)?;
            return Ok(self.built(left, path));
        }
        branch.refresh(touched);
        Ok(Some(self.linked(Page::Branch(Box::new(branch)))))
    }

    /// The subtree of a bucket's leaves after these changes.
    fn rebuilt(&mut self, old: &Bucket<L>, path: &Path, changes: &[Change<L>]) -> Option<Link<L>> {
        let leaves = merged(old.leaves(), changes);
        if leaves.is_empty() || !fits_a_bucket(&leaves) {
            return self.built(leaves, path);
        }
        let ways = changes.iter().filter_map(|(key, _)| path.way(key));
        let touched = ways.fold(0, |touched, way| touched | bit_of(way));
        Some(self.linked(Page::Bucket(old.with(leaves, touched, path))))
    }

    /// The subtree of these leaves, in order.
    fn built(&mut self, leaves: Vec<Arc<L>>, path: &Path) -> Option<Link<L>> {
        if leaves.is_empty() {
            return None;
        }
        if fits_a_bucket(&leaves) {
            return Some(self.linked(Page::Bucket(Bucket::of(leaves, path))));
        }
        let (mut links, mut rest) = ([const { None }; WAYS], leaves.as_slice());
        for (way, place) in links.iter_mut().enumerate() {
            let (own, others) = rest.split_at(rest.partition_point(|leaf| path.way(leaf.key()) == Some(way)));
            rest = others;
            *place = self.built(own.to_vec(), &path.child(way));
        }
        Some(self.linked(Page::Branch(Box::new(Branch::of(links)))))
    }

    fn linked(&mut self, page: Page<L>) -> Link<L> {
        self.bytes = self.bytes.saturating_add(page.own_bytes());
        Link::to(page, self.tree.age)
    }
}

fn fits_a_bucket<L: Leaf>(leaves: &[Arc<L>]) -> bool {
    u64::try_from(leaves.len()).is_ok_and(|count| count <= BUCKET_MAX)
}

/// A bucket's leaves with the changes in them.
fn merged<L: Leaf>(old: &[Arc<L>], changes: &[Change<L>]) -> Vec<Arc<L>> {
    let mut leaves = Vec::with_capacity(old.len().saturating_add(changes.len()));
    let mut kept = old.iter().peekable();
    for (key, leaf) in changes {
        while let Some(before) = kept.next_if(|kept| kept.key() < key) {
            leaves.push(Arc::clone(before));
        }
        kept.next_if(|kept| kept.key() == key);
        leaves.extend(leaf.clone());
    }
    leaves.extend(kept.cloned());
    leaves
}

/// About what new leaves take.
fn leaf_bytes<L: Leaf>(changes: &[Change<L>]) -> usize {
    changes.iter().filter_map(|(_, leaf)| leaf.as_ref()).fold(0, |sum, leaf| sum.saturating_add(leaf.bytes()))
}
