//! A state in memory, in order, with its root. A clone is a snapshot: it costs a pointer and never changes again.

use alloy_primitives::{Address, B256, U256};
use crypto::sparse::{Proof, Tree, value_digest};
use crypto::{Digest, hash};
use rpds::RedBlackTreeMapSync;

use crate::state::{Account, Changes, Code, StateError, StateRead};

const ACCOUNT: &str = "og/evm/account/v1";
const SLOT: &str = "og/evm/slot/v1";

/// All accounts, slots and code, and the tree that commits to them.
#[derive(Clone, Debug)]
pub struct World {
    accounts: RedBlackTreeMapSync<Address, Account>,
    slots: RedBlackTreeMapSync<(Address, U256), U256>,
    codes: RedBlackTreeMapSync<B256, Code>,
    tree: Tree,
    /// Leaves that were ever written: what tells how far two states are apart.
    written: u64,
}

/// About what a node takes in memory, of the tree and of a map together.
const NODE_BYTES: u64 = 288;

impl Default for World {
    fn default() -> Self {
        Self {
            accounts: RedBlackTreeMapSync::new_sync(),
            slots: RedBlackTreeMapSync::new_sync(),
            codes: RedBlackTreeMapSync::new_sync(),
            tree: Tree::default(),
            written: 0,
        }
    }
}

impl World {
    /// Commits to every account (with the hash of its code) and every slot.
    pub fn root(&self) -> B256 {
        B256::from(self.tree.root().0)
    }

    /// Takes over a block's changes; the root after it.
    pub fn apply(&mut self, changes: &Changes) -> B256 {
        let mut leaves = Vec::with_capacity(changes.accounts.len().saturating_add(changes.slots.len()));
        for (hash, code) in &changes.codes {
            self.codes.insert_mut(*hash, code.clone());
        }
        for (address, account) in &changes.accounts {
            match account.filter(|account| !account.is_empty()) {
                Some(account) => {
                    self.accounts.insert_mut(*address, account);
                    leaves.push((account_key(address), Some(account_digest(&account))));
                }
                None => {
                    self.accounts.remove_mut(address);
                    leaves.push((account_key(address), None));
                }
            }
        }
        for ((address, slot), value) in &changes.slots {
            let (key, place) = (slot_key(address, slot), (*address, *slot));
            if value.is_zero() {
                self.slots.remove_mut(&place);
                leaves.push((key, None));
            } else {
                self.slots.insert_mut(place, *value);
                leaves.push((key, Some(slot_digest(value))));
            }
        }
        leaves.sort_unstable_by_key(|(key, _)| *key);
        self.written = self.written.saturating_add(u64::try_from(leaves.len()).unwrap_or(u64::MAX));
        self.tree = self.tree.with_all(&leaves);
        self.root()
    }

    /// About how many bytes of an earlier state are not shared with this one, code not counted: where k of n leaves were written,
    /// about k (2 + log n/k) nodes of a tree are new.
    pub fn bytes_since(&self, earlier: &Self) -> usize {
        let written = self.written.saturating_sub(earlier.written);
        let size = u64::try_from(self.accounts.size().saturating_add(self.slots.size())).unwrap_or(u64::MAX);
        let levels = size.checked_div(written).unwrap_or(0).checked_ilog2().unwrap_or(0);
        let nodes = written.saturating_mul(u64::from(levels).saturating_add(2));
        usize::try_from(nodes.saturating_mul(NODE_BYTES)).unwrap_or(usize::MAX)
    }

    /// Accounts in order of their addresses.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &Account)> {
        self.accounts.iter()
    }

    /// What an account has stored, in order.
    pub fn slots(&self, address: Address) -> impl Iterator<Item = (&U256, &U256)> {
        self.slots.range((address, U256::ZERO)..=(address, U256::MAX)).map(|((_, slot), value)| (slot, value))
    }

    /// Proof of what an account is, or that it is not there; `account_digest` is what it holds.
    pub fn prove_account(&self, address: &Address) -> Proof {
        self.tree.prove(&account_key(address))
    }

    /// Proof of what a slot holds, or that it holds nothing; `slot_digest` is what it holds.
    pub fn prove_slot(&self, address: &Address, slot: &U256) -> Proof {
        self.tree.prove(&slot_key(address, slot))
    }
}

impl StateRead for World {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(address).copied())
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.slots.get(&(*address, *slot)).copied().unwrap_or_default())
    }

    fn code(&self, hash: &B256) -> Result<Option<Code>, StateError> {
        Ok(self.codes.get(hash).cloned())
    }
}

/// Where the tree has an account.
pub fn account_key(address: &Address) -> Digest {
    hash(ACCOUNT, &[address.as_slice()])
}

/// Where the tree has a slot.
pub fn slot_key(address: &Address, slot: &U256) -> Digest {
    hash(SLOT, &[address.as_slice(), &slot.to_be_bytes::<32>()])
}

/// What the tree holds for an account: nonce, balance and code hash, 72 bytes.
pub fn account_digest(account: &Account) -> Digest {
    let (nonce, balance) = (account.nonce.to_be_bytes(), account.balance.to_be_bytes::<32>());
    value_digest(&[nonce.as_slice(), &balance, account.code_hash.as_slice()].concat())
}

/// What the tree holds for a slot: its 32 bytes.
pub fn slot_digest(value: &U256) -> Digest {
    value_digest(&value.to_be_bytes::<32>())
}
