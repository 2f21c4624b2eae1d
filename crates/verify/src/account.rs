//! The check of an account's proof: from the pinned key down to what the account is (`specs/account-proof.md`).
//!
//! Each step rests on the one before: the certificate vouches for the epoch, the epoch's state for the record of the EVM, the EVM's state for
//! the account and the slot. What fails first is the refusal.

use std::fmt;

use protocol::{AccountProof, Canonical as _, EvmAccount, EvmAddress, EvmRecord, EvmWord, SlotProof, Trust};

use crate::checks::certificate::vouched;

/// What an account was, and perhaps what a slot of its storage held, at the end of an epoch that the pinned network certified. Only
/// [`verify_account`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAccount {
    address: EvmAddress,
    account: Option<EvmAccount>,
    slot: Option<(EvmWord, EvmWord)>,
    block: u64,
    as_of_epoch: u64,
    time_ms: u64,
}

/// Why a proof of an account is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountRefused {
    /// Another chain's.
    Chain { found: u64, expected: u64 },
    /// Nobody whom the trust pins vouches for the epoch; why.
    Certificate(String),
    /// The record of the EVM is not in the state of the epoch.
    Evm { epoch: u64 },
    /// The account is not that in the EVM's state, or there is one where none is said to be.
    Account { address: EvmAddress, block: u64 },
    /// The slot does not hold that in the EVM's state.
    Slot { slot: EvmWord, block: u64 },
}

/// What the account is, if the pinned network vouches for it; one pairing check for each key that is followed, and hashes.
pub fn verify_account(proof: &AccountProof, trust: &Trust) -> Result<VerifiedAccount, AccountRefused> {
    let (address, as_of, evm) = (proof.address, &proof.as_of, &proof.evm);
    let (found, expected) = (as_of.chain_id, trust.chain_id);
    if found != expected {
        return Err(AccountRefused::Chain { found, expected });
    }
    vouched(trust, &proof.rotations, &proof.certificate, as_of).map_err(AccountRefused::Certificate)?;
    if !proof.evm_proof.holds(&as_of.state_root, &EvmRecord::state_key(), Some(&evm.encode())) {
        return Err(AccountRefused::Evm { epoch: as_of.epoch });
    }
    let held = proof.account.as_ref().map(|account| account.encode());
    if !proof.account_proof.holds(&evm.state_root, &EvmAccount::state_key(&address), held.as_deref()) {
        return Err(AccountRefused::Account { address, block: evm.number });
    }
    let slot = proof.slot.as_ref().map(|slot| verify_slot(slot, proof)).transpose()?;
    Ok(VerifiedAccount {
        address,
        account: proof.account.clone(),
        slot,
        block: evm.number,
        as_of_epoch: as_of.epoch,
        time_ms: as_of.time_ms,
    })
}

/// A slot, and what it holds; zero is what stands nowhere.
fn verify_slot(shown: &SlotProof, proof: &AccountProof) -> Result<(EvmWord, EvmWord), AccountRefused> {
    let SlotProof { slot, value, proof: path } = shown;
    let held = (*value != EvmWord::ZERO).then(|| value.encode());
    if !path.holds(&proof.evm.state_root, &SlotProof::state_key(&proof.address, slot), held.as_deref()) {
        return Err(AccountRefused::Slot { slot: *slot, block: proof.evm.number });
    }
    Ok((*slot, *value))
}

impl VerifiedAccount {
    pub fn address(&self) -> EvmAddress {
        self.address
    }

    /// `None` where there is no such account.
    pub fn account(&self) -> Option<&EvmAccount> {
        self.account.as_ref()
    }

    /// The slot that was asked for, and what it holds.
    pub fn slot(&self) -> Option<(EvmWord, EvmWord)> {
        self.slot
    }

    /// The newest block of the EVM then.
    pub fn block(&self) -> u64 {
        self.block
    }

    pub fn as_of_epoch(&self) -> u64 {
        self.as_of_epoch
    }

    /// Time of the epoch's last block.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }
}

impl AccountRefused {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Chain { .. } => {
                "pin the trust file of the network that made the proof, from a source other than the proof"
            }
            Self::Certificate(_) => {
                "no quorum of the pinned network vouches for this proof: it was altered, or another network made it"
            }
            Self::Evm { .. } | Self::Account { .. } | Self::Slot { .. } => {
                "the proof was altered, or put together from two: ask for it again"
            }
        }
    }
}

impl fmt::Display for AccountRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { found, expected } => {
                write!(formatter, "chain: a proof of another chain: {found} found, {expected} expected")
            }
            Self::Certificate(reason) => write!(formatter, "certificate: {reason}"),
            Self::Evm { epoch } => write!(formatter, "evm: the record of the EVM is not in the state of epoch {epoch}"),
            Self::Account { address, block } => {
                write!(formatter, "account: the state after block {block} does not say this of account {address}")
            }
            Self::Slot { slot, block } => {
                write!(formatter, "slot: the state after block {block} does not say this of slot {slot}")
            }
        }
    }
}

impl std::error::Error for AccountRefused {}
