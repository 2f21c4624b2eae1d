//! What a block's changes overwrote: applied to the state after the block, it gives the state before it.

use alloy_primitives::{Address, B256, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use evm::{Account, Changes, StateError, StateRead};

/// The accounts and slots that a block changed, as they were before it.
#[derive(Default, RlpEncodable, RlpDecodable)]
pub(crate) struct Undo {
    accounts: Vec<OldAccount>,
    slots: Vec<OldSlot>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct OldAccount {
    address: Address,
    existed: bool,
    nonce: u64,
    balance: U256,
    code_hash: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct OldSlot {
    address: Address,
    slot: U256,
    value: U256,
}

impl Undo {
    pub fn of(changes: &Changes, before: &dyn StateRead) -> Result<Self, StateError> {
        let mut undo = Self::default();
        for address in changes.accounts.keys() {
            let account = before.account(address)?;
            let Account { nonce, balance, code_hash } = account.unwrap_or_default();
            undo.accounts.push(OldAccount { address: *address, existed: account.is_some(), nonce, balance, code_hash });
        }
        for (address, slot) in changes.slots.keys() {
            undo.slots.push(OldSlot { address: *address, slot: *slot, value: before.slot(address, slot)? });
        }
        Ok(undo)
    }

    /// The changes that lead back. Code stays: another account may share it.
    pub fn changes(&self) -> Changes {
        let account = |old: &OldAccount| {
            let account = Account { nonce: old.nonce, balance: old.balance, code_hash: old.code_hash };
            (old.address, old.existed.then_some(account))
        };
        let slot = |old: &OldSlot| ((old.address, old.slot), old.value);
        Changes {
            accounts: self.accounts.iter().map(account).collect(),
            slots: self.slots.iter().map(slot).collect(),
            ..Changes::default()
        }
    }
}
