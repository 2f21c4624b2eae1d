//! The tree: pages that were made since the newest `Base` are held, the others are read through the base's cache.
//!
//! A clone is a snapshot: it costs a pointer and never changes again. Without a base everything is held.

use std::sync::Arc;

use crypto::Digest;

use crate::base::Base;
use crate::failure::PageError;
use crate::leaf::Leaf;
use crate::page::{Branch, Link, Page};
use crate::path::Path;

/// What stands at each key, and the digests that commit to it.
#[derive(Clone, Debug)]
pub struct Tree<L: Leaf> {
    pub(crate) root: Option<Link<L>>,
    pub(crate) base: Option<Base<L>>,
    /// Of what is made from now on: marks so far, and one.
    pub(crate) age: u64,
    /// Bytes of all that was ever made: what tells how far two trees are apart.
    pub(crate) made_bytes: usize,
    /// Of those, what was replaced before a base had it.
    pub(crate) replaced_bytes: usize,
}

impl<L: Leaf> Default for Tree<L> {
    fn default() -> Self {
        Self { root: None, base: None, age: 1, made_bytes: 0, replaced_bytes: 0 }
    }
}

impl<L: Leaf> Tree<L> {
    /// The tree on the disk.
    pub fn open(base: Base<L>) -> Result<Self, PageError> {
        let (root, age) = (base.root()?, base.age.saturating_add(1));
        let (made_bytes, replaced_bytes) = (base.made_bytes, base.replaced_bytes);
        Ok(Self { root, base: Some(base), age, made_bytes, replaced_bytes })
    }

    /// The same for whoever only asks, see `Base::aside`.
    pub fn aside(&self) -> Self {
        Self { base: self.base.as_ref().map(Base::aside), ..self.clone() }
    }

    /// Commits to every key and what it holds; zero for an empty tree.
    pub fn root(&self) -> Digest {
        self.root.as_ref().map_or(Digest::ZERO, |root| root.digest)
    }

    /// Keys that hold something.
    pub fn leaves(&self) -> u64 {
        self.root.as_ref().map_or(0, |root| root.leaves)
    }

    /// Between which two marks what is made now is made.
    pub fn age(&self) -> u64 {
        self.age
    }

    /// What it reads from.
    pub fn base(&self) -> Option<&Base<L>> {
        self.base.as_ref()
    }

    /// About how many bytes of an earlier tree are not shared with this one.
    pub fn bytes_since(&self, earlier: &Self) -> usize {
        self.made_bytes.saturating_sub(earlier.made_bytes)
    }

    /// The tree as it is, to be written, and a mark: what is made from now on is not in it.
    pub fn mark(&mut self) -> Self {
        let marked = self.clone();
        self.age = self.age.saturating_add(1);
        marked
    }

    /// About how many bytes it holds that no base has.
    pub fn held_bytes(&self) -> usize {
        let (made, replaced) = self.base.as_ref().map_or((0, 0), |base| (base.made_bytes, base.replaced_bytes));
        self.made_bytes.saturating_sub(made).saturating_sub(self.replaced_bytes.saturating_sub(replaced))
    }

    /// The base that came of writing this tree.
    pub fn written_to(&self, base: Base<L>) -> Base<L> {
        base.after(self.age, (self.made_bytes, self.replaced_bytes))
    }

    /// Lets go of what lies in `base`, to which a marked tree was written that this one is or comes from. False where it did not.
    pub fn rest_on(&mut self, base: &Base<L>) -> bool {
        if base.age > self.age || self.resting_age() > base.age {
            return false;
        }
        self.age = self.age.max(base.age.saturating_add(1));
        self.root = self.root.as_ref().map(|root| root.resting(base.age));
        self.base = Some(base.clone());
        true
    }

    /// What is older than this, the base has.
    pub(crate) fn resting_age(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.age)
    }

    pub(crate) fn page(&self, path: &Path, link: &Link<L>) -> Result<Arc<Page<L>>, PageError> {
        match (&link.held, &self.base) {
            (Some(held), _) => Ok(Arc::clone(&held.page)),
            (None, Some(base)) => base.page(path, link),
            (None, None) => Err(PageError(format!("page {path} is nowhere"))),
        }
    }

    /// What stands at a key.
    pub fn find(&self, key: &Digest) -> Result<Option<Arc<L>>, PageError> {
        self.root.as_ref().map_or(Ok(None), |root| self.find_below(root, &Path::ROOT, key))
    }

    fn find_below(&self, link: &Link<L>, path: &Path, key: &Digest) -> Result<Option<Arc<L>>, PageError> {
        let read;
        let page = match &link.held {
            Some(held) => &*held.page,
            None => {
                read = self.page(path, link)?;
                &*read
            }
        };
        match page {
            Page::Bucket(bucket) => {
                let leaves = bucket.leaves();
                let place = leaves.binary_search_by(|leaf| leaf.key().cmp(key)).ok();
                Ok(place.and_then(|place| leaves.get(place).cloned()))
            }
            Page::Branch(branch) => {
                let way = path.way(key).unwrap_or_default();
                let next = branch.links.get(way).and_then(Option::as_ref);
                next.map_or(Ok(None), |next| self.find_below(next, &path.child(way), key))
            }
        }
    }

    /// What stands at each of these keys, which are in order: a page that several lead to is read once.
    pub fn find_all(&self, keys: &[Digest]) -> Result<Vec<Option<Arc<L>>>, PageError> {
        let mut found = Vec::with_capacity(keys.len());
        self.find_all_below(self.root.as_ref(), &Path::ROOT, keys, &mut found)?;
        Ok(found)
    }

    fn find_all_below(
        &self,
        link: Option<&Link<L>>,
        path: &Path,
        keys: &[Digest],
        found: &mut Vec<Option<Arc<L>>>,
    ) -> Result<(), PageError> {
        let Some(link) = link.filter(|_| !keys.is_empty()) else {
            found.extend(keys.iter().map(|_| None));
            return Ok(());
        };
        match &*self.page(path, link)? {
            Page::Bucket(bucket) => {
                let leaves = bucket.leaves();
                let at = |key: &Digest| leaves.binary_search_by(|leaf| leaf.key().cmp(key)).ok();
                found.extend(keys.iter().map(|key| leaves.get(at(key)?).cloned()));
            }
            Page::Branch(branch) => {
                let mut rest = keys;
                for (way, link) in branch.links.iter().enumerate() {
                    let (own, others) = rest.split_at(rest.partition_point(|key| path.way(key) == Some(way)));
                    rest = others;
                    self.find_all_below(link.as_ref(), &path.child(way), own, found)?;
                }
            }
        }
        Ok(())
    }

    /// All leaves of a page and below it, in order.
    pub(crate) fn gather(&self, page: &Page<L>, path: &Path, out: &mut Vec<Arc<L>>) -> Result<(), PageError> {
        match page {
            Page::Bucket(bucket) => out.extend(bucket.leaves().iter().cloned()),
            Page::Branch(branch) => self.gather_below(branch, path, out)?,
        }
        Ok(())
    }

    /// All leaves below a branch, in order.
    pub(crate) fn gather_below(&self, branch: &Branch<L>, path: &Path, out: &mut Vec<Arc<L>>) -> Result<(), PageError> {
        for (way, link) in branch.links.iter().enumerate() {
            let (Some(link), path) = (link, path.child(way)) else { continue };
            self.gather(&*self.page(&path, link)?, &path, out)?;
        }
        Ok(())
    }

    /// Everything that it holds, in order. It is all in memory then: for a beginning, and for tests.
    pub fn all(&self) -> Result<Vec<Arc<L>>, PageError> {
        let mut all = Vec::new();
        if let Some(root) = &self.root {
            self.gather(&*self.page(&Path::ROOT, root)?, &Path::ROOT, &mut all)?;
        }
        Ok(all)
    }
}
