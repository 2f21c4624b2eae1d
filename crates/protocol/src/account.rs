//! An account of the EVM, provably: what it is, and what a slot of its storage holds, as of one certified epoch
//! (`specs/account-proof.md`).
//!
//! The canonical bytes of [`EvmAccount`] and of a slot's value are what the EVM's own tree holds for them: the room `evm` makes its root
//! from these, and `verify` checks the same.

use std::fmt;

use crypto::{Digest, hash};

use crate::{
    bounded::List,
    bundle::StateProof,
    canonical::Version,
    epoch::{Certificate, EpochRecord},
    nouns::record,
    rotation::ROTATIONS_MAX,
    settlement::{CertifiedRotation, EvmAddress},
};

/// A word of the EVM; a number is big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EvmWord(pub [u8; 32]);

record! {
    /// Where the EVM stands: one leaf of the ledger's state, so that the state's root binds its accounts, blocks and receipts.
    EvmRecord {
        number: u64,
        /// Keccak-256 of the newest block's header.
        hash: Digest,
        /// Root of the EVM's state after that block and after the deadlines that end with the epoch.
        state_root: Digest,
    }
}

record! {
    /// An account without its storage. One that holds nothing is not there.
    EvmAccount {
        nonce: u64,
        /// Base units of OPG.
        balance: EvmWord,
        /// Keccak-256 of its code.
        code_hash: Digest,
    }
}

record! {
    /// A slot of an account's storage, and its path in the EVM's state.
    SlotProof {
        slot: EvmWord,
        /// Zero where the slot holds nothing.
        value: EvmWord,
        proof: StateProof,
    }
}

record! {
    /// An account, and the proofs of what it is as of one certified epoch.
    AccountProof {
        version: Version<1>,
        address: EvmAddress,
        /// `None` where there is no such account.
        account: Option<EvmAccount>,
        /// Its path in the state that `evm` commits to.
        account_proof: StateProof,
        slot: Option<SlotProof>,
        evm: EvmRecord,
        /// The path of `evm` in the state that `as_of` commits to.
        evm_proof: StateProof,
        as_of: EpochRecord,
        certificate: Certificate,
        /// Rotations of the network's key up to that epoch, oldest first, as in a bundle.
        rotations: List<CertifiedRotation, ROTATIONS_MAX>,
    }
}

impl EvmWord {
    pub const ZERO: Self = Self([0; 32]);
}

/// As wallets write it, with all its digits.
impl fmt::Display for EvmWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "0x{}", Digest(self.0))
    }
}

impl EvmRecord {
    /// Where the ledger's state keeps it.
    pub fn state_key() -> Digest {
        hash("og/state/evm/v1", &[])
    }
}

impl EvmAccount {
    /// Where the EVM's state has the account of this address.
    pub fn state_key(address: &EvmAddress) -> Digest {
        hash("og/evm/account/v1", &[&address.0])
    }
}

impl SlotProof {
    /// Where the EVM's state has a slot.
    pub fn state_key(address: &EvmAddress, slot: &EvmWord) -> Digest {
        hash("og/evm/slot/v1", &[&address.0, &slot.0])
    }
}
