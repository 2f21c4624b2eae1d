//! The state of all accounts, with its root: a tree in pages, some in memory, the others on the disk, and the code of the accounts.
//!
//! A clone is a snapshot: it costs a pointer and never changes again. What was made since the newest `Base` is held; the rest is read
//! through the base's caches, and believed only if it is what the root commits to. Without a base everything is held.

mod arriving;
mod base;
mod difference;
mod leaf;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use crypto::sparse::Proof;
use pages::{Change, PageError, Tree};
pub use pages::{Reader, Row};
use rpds::RedBlackTreeMapSync;

pub use arriving::{Arriving, PAGE_BYTES_MAX};
pub use base::{Base, CODES as STATE_CODES, Cache, USES as STATE_USES};
pub use leaf::{PAGES as STATE_PAGES, account_digest, account_key, slot_digest, slot_key};

use crate::state::{Account, Changes, Code, StateError, StateRead};
use leaf::{Entry, Leaf};

/// Tables that a state on the disk is kept in.
pub const STATE_TABLES: &[&str] = &[leaf::ROOTS, STATE_PAGES, STATE_CODES, STATE_USES];

impl From<PageError> for StateError {
    fn from(error: PageError) -> Self {
        Self(error.0)
    }
}

/// All accounts, slots and code, and the tree that commits to them.
#[derive(Clone, Debug)]
pub struct World {
    tree: Tree<Leaf>,
    /// Code that the base may not have, with the age in which it came.
    codes: RedBlackTreeMapSync<B256, (Code, u64)>,
    base: Option<Base>,
}

impl Default for World {
    fn default() -> Self {
        Self { tree: Tree::default(), codes: RedBlackTreeMapSync::new_sync(), base: None }
    }
}

impl World {
    /// The state on the disk.
    pub fn open(base: Base) -> Result<Self, StateError> {
        Ok(Self { tree: Tree::open(base.pages.clone())?, base: Some(base), ..Self::default() })
    }

    /// The same for whoever only asks: what fails to be read is an error there, and ends nothing.
    pub fn aside(&self) -> Self {
        Self { tree: self.tree.aside(), codes: self.codes.clone(), base: self.base.as_ref().map(Base::aside) }
    }

    /// Commits to every account (with the hash of its code) and every slot.
    pub fn root(&self) -> B256 {
        B256::from(self.tree.root().0)
    }

    /// Accounts and slots that hold something.
    pub fn leaves(&self) -> u64 {
        self.tree.leaves()
    }

    /// Takes over a block's changes; the root after it. After a failure it is as it was.
    pub fn apply(&mut self, changes: &Changes) -> Result<B256, StateError> {
        let mut leaves: Vec<Change<Leaf>> =
            Vec::with_capacity(changes.accounts.len().saturating_add(changes.slots.len()));
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
        self.tree.apply(&leaves)?;
        for (hash, code) in &changes.codes {
            self.codes.insert_mut(*hash, (code.clone(), self.tree.age()));
        }
        Ok(self.root())
    }

    /// About how many bytes of an earlier state are not shared with this one, code not counted.
    pub fn bytes_since(&self, earlier: &Self) -> usize {
        self.tree.bytes_since(&earlier.tree)
    }

    /// The state as it is, to be written, and a mark: what is made from now on is not in it.
    pub fn mark(&mut self) -> Self {
        Self { tree: self.tree.mark(), codes: self.codes.clone(), base: self.base.clone() }
    }

    /// All rows that make the disk hold this state, where it held `older`, in one commit.
    pub fn rows_since(&self, older: &Self) -> Result<Vec<Row>, StateError> {
        difference::rows(older, self)
    }

    /// The changes that lead from this state back to an earlier one, with code that an account named there and the same account no
    /// longer does. What both share is not looked at.
    pub fn changes_back_to(&self, earlier: &Self) -> Result<Changes, StateError> {
        difference::back(earlier, self)
    }

    /// About how many bytes were made that no base has.
    pub fn held_bytes(&self) -> usize {
        self.tree.held_bytes()
    }

    /// The base that came of writing this state.
    pub fn written_to(&self, base: Base) -> Base {
        let pages = self.tree.written_to(base.pages.clone());
        base.after(pages)
    }

    /// Lets go of what lies in `base`, to which a marked state was written that this one is or comes from.
    pub fn rest_on(&mut self, base: &Base) {
        if !self.tree.rest_on(&base.pages) {
            return;
        }
        let written = base.pages.age();
        let old: Vec<B256> = self.codes.iter().filter(|(_, (_, age))| *age <= written).map(|(hash, _)| *hash).collect();
        for hash in old {
            self.codes.remove_mut(&hash);
        }
        self.base = Some(base.clone());
    }

    /// Everything that it holds, in order. It is all in memory then: for a beginning, and for tests.
    pub fn content(&self) -> Result<Changes, StateError> {
        let mut content = Changes::default();
        for leaf in self.tree.all()? {
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
        Ok(self.tree.prove(&account_key(address))?)
    }

    /// Proof of what a slot holds, or that it holds nothing; `slot_digest` is what it holds.
    pub fn prove_slot(&self, address: &Address, slot: &U256) -> Result<Proof, StateError> {
        Ok(self.tree.prove(&slot_key(address, slot))?)
    }
}

impl StateRead for World {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.tree.find(&account_key(address))?.and_then(|leaf| match leaf.entry {
            Entry::Account(_, account) => Some(account),
            Entry::Slot(..) => None,
        }))
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.tree.find(&slot_key(address, slot))?.map_or(U256::ZERO, |leaf| match leaf.entry {
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
