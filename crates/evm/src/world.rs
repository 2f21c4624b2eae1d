//! The state of all accounts, with its root: pages of one tree, some in memory, the others on the disk.
//!
//! A clone is a snapshot: it costs a pointer and never changes again. Pages that were made since the newest `Base` are held; the
//! others are read through the base's cache, and believed only if they are what the root commits to. Without a base everything is held.

mod arriving;
mod base;
mod change;
mod difference;
mod leaf;
mod page;
mod path;
mod prove;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use crypto::Digest;
use crypto::sparse::Proof;
use rpds::RedBlackTreeMapSync;

pub use arriving::{Arriving, PAGE_BYTES_MAX};
pub use base::{Base, CODES as STATE_CODES, Cache, PAGES as STATE_PAGES, Reader, USES as STATE_USES};
pub use difference::Row;
pub use leaf::{account_digest, account_key, slot_digest, slot_key};

use crate::state::{Account, Changes, Code, StateError, StateRead};
use change::{Change, Maker, leaf_bytes};
use difference::Difference;
use leaf::{Entry, Leaf};
use page::{Branch, Link, Page};
use path::Path;

/// Tables that a state on the disk is kept in.
pub const STATE_TABLES: &[&str] = &[base::ROOTS, base::PAGES, base::CODES, base::USES];

/// All accounts, slots and code, and the tree that commits to them.
#[derive(Clone, Debug)]
pub struct World {
    root: Option<Link>,
    /// Code that the base may not have, with the age in which it came.
    codes: RedBlackTreeMapSync<B256, (Code, u64)>,
    base: Option<Base>,
    /// Of what is made from now on: marks so far, and one.
    age: u64,
    /// Bytes of all that was ever made: what tells how far two states are apart.
    made_bytes: usize,
}

impl Default for World {
    fn default() -> Self {
        Self { root: None, codes: RedBlackTreeMapSync::new_sync(), base: None, age: 1, made_bytes: 0 }
    }
}

impl World {
    /// The state on the disk.
    pub fn open(base: Base) -> Result<Self, StateError> {
        let (root, age, made_bytes) = (base.root()?, base.age.saturating_add(1), base.made_bytes);
        Ok(Self { root, base: Some(base), age, made_bytes, ..Self::default() })
    }

    /// Commits to every account (with the hash of its code) and every slot.
    pub fn root(&self) -> B256 {
        B256::from(self.root.as_ref().map_or(Digest::ZERO, |root| root.digest).0)
    }

    /// Accounts and slots that hold something.
    pub fn leaves(&self) -> u64 {
        self.root.as_ref().map_or(0, |root| root.leaves)
    }

    /// Takes over a block's changes; the root after it. After a failure it is as it was.
    pub fn apply(&mut self, changes: &Changes) -> Result<B256, StateError> {
        let mut leaves: Vec<Change> = Vec::with_capacity(changes.accounts.len().saturating_add(changes.slots.len()));
        for (address, account) in &changes.accounts {
            let account = account.filter(|account| !account.is_empty());
            let leaf = account.map(|account| Arc::new(Leaf::of(Entry::Account(*address, account))));
            leaves.push((leaf.as_ref().map_or_else(|| account_key(address), |leaf| leaf.key), leaf));
        }
        for ((address, slot), value) in &changes.slots {
            let value = Some(*value).filter(|value| !value.is_zero());
            let leaf = value.map(|value| Arc::new(Leaf::of(Entry::Slot(*address, *slot, value))));
            leaves.push((leaf.as_ref().map_or_else(|| slot_key(address, slot), |leaf| leaf.key), leaf));
        }
        leaves.sort_unstable_by_key(|(key, _)| *key);
        let mut maker = Maker::new(self);
        let root = maker.changed(self.root.as_ref(), &Path::ROOT, &leaves)?;
        let made = maker.bytes.saturating_add(leaf_bytes(&leaves));
        self.made_bytes = self.made_bytes.saturating_add(made);
        self.root = root;
        for (hash, code) in &changes.codes {
            self.codes.insert_mut(*hash, (code.clone(), self.age));
        }
        Ok(self.root())
    }

    /// About how many bytes of an earlier state are not shared with this one, code not counted.
    pub fn bytes_since(&self, earlier: &Self) -> usize {
        self.made_bytes.saturating_sub(earlier.made_bytes)
    }

    /// The state as it is, to be written, and a mark: what is made from now on is not in it.
    pub fn mark(&mut self) -> Self {
        let marked = self.clone();
        self.age = self.age.saturating_add(1);
        marked
    }

    /// All rows that make the disk hold this state, where it held `older`, in one commit.
    pub fn rows_since(&self, older: &Self) -> Result<Vec<Row>, StateError> {
        Difference::of(older, self)
    }

    /// About how many bytes were made that no base has.
    pub fn held_bytes(&self) -> usize {
        self.made_bytes.saturating_sub(self.base.as_ref().map_or(0, |base| base.made_bytes))
    }

    /// The base that came of writing this state.
    pub fn written_to(&self, base: Base) -> Base {
        base.after(self.age, self.made_bytes)
    }

    /// Lets go of what lies in `base`, to which a marked state was written that this one is or comes from.
    pub fn rest_on(&mut self, base: &Base) {
        if base.age > self.age || self.resting_age() > base.age {
            return;
        }
        self.age = self.age.max(base.age.saturating_add(1));
        self.root = self.root.as_ref().map(|root| root.resting(base.age));
        let old: Vec<B256> =
            self.codes.iter().filter(|(_, (_, age))| *age <= base.age).map(|(hash, _)| *hash).collect();
        for hash in old {
            self.codes.remove_mut(&hash);
        }
        self.base = Some(base.clone());
    }

    /// What is older than this, the base has.
    fn resting_age(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.age)
    }

    fn page(&self, path: &Path, link: &Link) -> Result<Arc<Page>, StateError> {
        match (&link.held, &self.base) {
            (Some(held), _) => Ok(Arc::clone(&held.page)),
            (None, Some(base)) => base.page(path, link),
            (None, None) => Err(StateError(format!("page {path} is nowhere"))),
        }
    }

    fn find(&self, key: &Digest) -> Result<Option<Arc<Leaf>>, StateError> {
        self.root.as_ref().map_or(Ok(None), |root| self.find_below(root, &Path::ROOT, key))
    }

    fn find_below(&self, link: &Link, path: &Path, key: &Digest) -> Result<Option<Arc<Leaf>>, StateError> {
        let read;
        let page = match &link.held {
            Some(held) => &*held.page,
            None => {
                read = self.page(path, link)?;
                &*read
            }
        };
        match page {
            Page::Bucket(leaves) => {
                let place = leaves.binary_search_by(|leaf| leaf.key.cmp(key)).ok();
                Ok(place.and_then(|place| leaves.get(place).cloned()))
            }
            Page::Branch(branch) => {
                let way = path.way(key).unwrap_or_default();
                let next = branch.links.get(way).and_then(Option::as_ref);
                next.map_or(Ok(None), |next| self.find_below(next, &path.child(way), key))
            }
        }
    }

    /// All leaves below a branch, in order.
    fn gather(&self, branch: &Branch, path: &Path, out: &mut Vec<Arc<Leaf>>) -> Result<(), StateError> {
        for (way, link) in branch.links.iter().enumerate() {
            let (Some(link), path) = (link, path.child(way)) else { continue };
            match &*self.page(&path, link)? {
                Page::Bucket(leaves) => out.extend(leaves.iter().cloned()),
                Page::Branch(branch) => self.gather(branch, &path, out)?,
            }
        }
        Ok(())
    }

    /// Everything that it holds, in order. It is all in memory then: for a beginning, and for tests.
    pub fn content(&self) -> Result<Changes, StateError> {
        let (mut all, mut content) = (Vec::new(), Changes::default());
        if let Some(root) = &self.root {
            match &*self.page(&Path::ROOT, root)? {
                Page::Bucket(leaves) => all.extend(leaves.iter().cloned()),
                Page::Branch(branch) => self.gather(branch, &Path::ROOT, &mut all)?,
            }
        }
        for leaf in all {
            match leaf.entry {
                Entry::Account(address, account) => {
                    if let Some(hash) = leaf.code_hash()
                        && let Some(code) = self.code(&hash)?
                    {
                        content.codes.insert(hash, code);
                    }
                    content.accounts.insert(address, Some(account));
                }
                Entry::Slot(address, slot, value) => {
                    content.slots.insert((address, slot), value);
                }
            }
        }
        Ok(content)
    }

    /// Proof of what an account is, or that it is not there; `account_digest` is what it holds.
    pub fn prove_account(&self, address: &Address) -> Result<Proof, StateError> {
        self.prove(&account_key(address))
    }

    /// Proof of what a slot holds, or that it holds nothing; `slot_digest` is what it holds.
    pub fn prove_slot(&self, address: &Address, slot: &U256) -> Result<Proof, StateError> {
        self.prove(&slot_key(address, slot))
    }
}

impl StateRead for World {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.find(&account_key(address))?.and_then(|leaf| match leaf.entry {
            Entry::Account(_, account) => Some(account),
            Entry::Slot(..) => None,
        }))
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.find(&slot_key(address, slot))?.map_or(U256::ZERO, |leaf| match leaf.entry {
            Entry::Slot(_, _, value) => value,
            Entry::Account(..) => U256::ZERO,
        }))
    }

    fn code(&self, hash: &B256) -> Result<Option<Code>, StateError> {
        match (self.codes.get(hash), &self.base) {
            (Some((code, _)), _) => Ok(Some(code.clone())),
            (None, Some(base)) => base.code(hash),
            (None, None) => Ok(None),
        }
    }
}
