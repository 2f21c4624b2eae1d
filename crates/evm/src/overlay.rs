//! Pending changes over a state that stays as it is: what a block has done so far, or what a caller wants to imagine.

use std::collections::BTreeSet;
use std::fmt;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::context::DBErrorMarker;
use revm::state::{AccountInfo, EvmState};
use revm::{Database, DatabaseRef};

use crate::history;
use crate::state::{Account, Changes, Code, StateError, StateRead};

/// A state with changes on top.
#[derive(Clone)]
pub struct Overlay<'a> {
    below: &'a dyn StateRead,
    changes: Changes,
    /// Accounts whose storage below is not looked at.
    replaced: BTreeSet<Address>,
}

impl fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("changes", &self.changes).finish_non_exhaustive()
    }
}

impl<'a> Overlay<'a> {
    pub fn over(below: &'a dyn StateRead) -> Self {
        Self { below, changes: Changes::default(), replaced: BTreeSet::new() }
    }

    pub fn into_changes(self) -> Changes {
        self.changes
    }

    pub fn set_account(&mut self, address: Address, account: Account) {
        self.changes.accounts.insert(address, Some(account).filter(|account| !account.is_empty()));
    }

    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.changes.slots.insert((address, slot), value);
    }

    pub fn set_code(&mut self, hash: B256, code: Code) {
        self.changes.codes.insert(hash, code);
    }

    /// From here on the account's storage is what this overlay says and nothing else.
    pub fn replace_storage(&mut self, address: Address) {
        self.replaced.insert(address);
    }

    /// Takes over what a transaction did. Returns by how much all balances together became less: what it burned. `None` if
    /// they became more, which no transaction can bring about.
    pub fn absorb(&mut self, state: EvmState) -> Result<Option<U256>, StateError> {
        let (mut before, mut after) = (U256::ZERO, U256::ZERO);
        // The map has no order and needs none: every entry has a place of its own, and sums do not depend on order.
        for (address, changed) in state {
            if !changed.is_touched() {
                continue;
            }
            let old = self.account(&address)?;
            let gone = changed.is_selfdestructed() || changed.is_empty();
            let new =
                Account { nonce: changed.info.nonce, balance: changed.info.balance, code_hash: changed.info.code_hash };
            let new = if gone { None } else { Some(new) };
            before = before.saturating_add(old.map_or(U256::ZERO, |account| account.balance));
            after = after.saturating_add(new.map_or(U256::ZERO, |account| account.balance));
            if new != old {
                self.changes.accounts.insert(address, new);
            }
            if gone {
                // Osaka destroys only what the same transaction made, so nothing of its storage was ever written here.
                continue;
            }
            let is_new =
                new.is_some_and(|account| account.has_code() && Some(account.code_hash) != old.map(|a| a.code_hash));
            if let Some(code) = changed.info.code.filter(|_| is_new) {
                self.changes.codes.insert(changed.info.code_hash, code);
            }
            for (slot, value) in changed.storage.iter().filter(|(_, value)| value.is_changed()) {
                self.changes.slots.insert((address, *slot), value.present_value);
            }
        }
        Ok(before.checked_sub(after))
    }
}

impl StateRead for Overlay<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.changes.accounts.get(address) {
            Some(account) => Ok(*account),
            None => self.below.account(address),
        }
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        match self.changes.slots.get(&(*address, *slot)) {
            Some(value) => Ok(*value),
            None if self.replaced.contains(address) => Ok(U256::ZERO),
            None => self.below.slot(address, slot),
        }
    }

    fn code(&self, hash: &B256) -> Result<Option<Code>, StateError> {
        match self.changes.codes.get(hash) {
            Some(code) => Ok(Some(code.clone())),
            None => self.below.code(hash),
        }
    }
}

impl DatabaseRef for Overlay<'_> {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let account = self.account(&address)?;
        Ok(account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Code, StateError> {
        if hash == KECCAK256_EMPTY || hash.is_zero() {
            return Ok(Code::default());
        }
        self.code(&hash)?.ok_or_else(|| StateError(format!("no code with hash {hash}")))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.slot(&address, &slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        history::block_hash(self, number)
    }
}

impl Database for Overlay<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.basic_ref(address)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Code, StateError> {
        self.code_by_hash_ref(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.storage_ref(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        self.block_hash_ref(number)
    }
}

/// Errors of the state end an execution; none is the transaction's.
const _: fn() = || {
    fn is_marked<T: DBErrorMarker>() {}
    is_marked::<StateError>();
};
