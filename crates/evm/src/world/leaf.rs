//! What stands at the leaves: accounts and slots, each at the place that its name gives it.

use alloy_primitives::{Address, B256, U256};
use crypto::Digest;
use crypto::sparse::{self, leaf_digest, value_digest};
use pages::take;
use protocol::{Canonical as _, EvmAccount, EvmAddress, EvmWord, SlotProof};

use crate::state::Account;

/// The root: one row.
pub(super) const ROOTS: &str = "state-roots";
/// Pages by their paths.
pub const PAGES: &str = "state-pages";

const ACCOUNT_KIND: u8 = 1;
const SLOT_KIND: u8 = 2;

/// What the tree holds for an account.
const ACCOUNT_BYTES: usize = 72;
/// About what a leaf takes in memory.
const LEAF_BYTES: usize = 208;

/// An account, or a slot that holds something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    Account(Address, Account),
    Slot(Address, U256, U256),
}

/// An entry with its place and its digest in the tree.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub key: Digest,
    pub digest: Digest,
    pub entry: Entry,
}

impl Leaf {
    pub fn of(entry: Entry) -> Self {
        let key = match &entry {
            Entry::Account(address, _) => account_key(address),
            Entry::Slot(address, slot, _) => slot_key(address, slot),
        };
        let mut leaf = Self { key, digest: Digest::ZERO, entry };
        leaf.digest = leaf_digest(&pages::Leaf::proven(&leaf));
        leaf
    }

    /// Hash of the code that it names.
    pub fn code_hash(&self) -> Option<B256> {
        match &self.entry {
            Entry::Account(_, account) => Some(account.code_hash).filter(|_| account.has_code()),
            Entry::Slot(..) => None,
        }
    }
}

impl pages::Leaf for Leaf {
    const WHAT: &'static str = "the state";
    const ROOTS: &'static str = ROOTS;
    const PAGES: &'static str = PAGES;

    fn key(&self) -> &Digest {
        &self.key
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn proven(&self) -> sparse::Leaf {
        let value = match &self.entry {
            Entry::Account(_, account) => account_digest(account),
            Entry::Slot(_, _, value) => slot_digest(value),
        };
        sparse::Leaf { key: self.key, value }
    }

    fn bytes(&self) -> usize {
        LEAF_BYTES
    }

    /// 93 bytes, or 85.
    fn write(&self, out: &mut Vec<u8>) {
        match &self.entry {
            Entry::Account(address, account) => {
                out.push(ACCOUNT_KIND);
                out.extend_from_slice(address.as_slice());
                out.extend_from_slice(&account.nonce.to_be_bytes());
                out.extend_from_slice(&account.balance.to_be_bytes::<32>());
                out.extend_from_slice(account.code_hash.as_slice());
            }
            Entry::Slot(address, slot, value) => {
                out.push(SLOT_KIND);
                out.extend_from_slice(address.as_slice());
                out.extend_from_slice(&slot.to_be_bytes::<32>());
                out.extend_from_slice(&value.to_be_bytes::<32>());
            }
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let [kind] = take(bytes)?;
        let address = Address::from(take::<20>(bytes)?);
        let entry = match kind {
            ACCOUNT_KIND => {
                let nonce = u64::from_be_bytes(take(bytes)?);
                let balance = U256::from_be_bytes(take::<32>(bytes)?);
                let account = Account { nonce, balance, code_hash: B256::from(take::<32>(bytes)?) };
                Entry::Account(address, Some(account).filter(|account| !account.is_empty())?)
            }
            SLOT_KIND => {
                let slot = U256::from_be_bytes(take::<32>(bytes)?);
                let value = U256::from_be_bytes(take::<32>(bytes)?);
                Entry::Slot(address, slot, Some(value).filter(|value| !value.is_zero())?)
            }
            _ => return None,
        };
        Some(Self::of(entry))
    }
}

/// As proofs show it.
impl From<&Account> for EvmAccount {
    fn from(account: &Account) -> Self {
        let balance = EvmWord(account.balance.to_be_bytes());
        Self { nonce: account.nonce, balance, code_hash: Digest(account.code_hash.0) }
    }
}

/// Where the tree has an account.
pub fn account_key(address: &Address) -> Digest {
    EvmAccount::state_key(&EvmAddress(address.into_array()))
}

/// Where the tree has a slot.
pub fn slot_key(address: &Address, slot: &U256) -> Digest {
    SlotProof::state_key(&EvmAddress(address.into_array()), &EvmWord(slot.to_be_bytes()))
}

/// What the tree holds for an account: nonce, balance and code hash, 72 bytes.
pub fn account_digest(account: &Account) -> Digest {
    let mut bytes = Vec::with_capacity(ACCOUNT_BYTES);
    EvmAccount::from(account).write(&mut bytes);
    value_digest(&bytes)
}

/// What the tree holds for a slot: its 32 bytes.
pub fn slot_digest(value: &U256) -> Digest {
    value_digest(&value.to_be_bytes::<32>())
}
