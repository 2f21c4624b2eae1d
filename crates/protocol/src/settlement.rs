//! What the ledger tells Base: who is paid what there, and which key speaks for the network next (`specs/settlement.md`).
//!
//! Each record stands in the ledger's state, so that the certificate of any later epoch vouches for it. `contracts/src/Settlement.sol`
//! reads the same bytes at fixed places: every field here has a fixed width.

use crypto::{Digest, hash, merkle, merkle::SumNode, threshold::GroupKey};

use crate::{
    Amount,
    canonical::{Noun, Version},
    nouns::{record, words},
};

/// An account on an EVM chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EvmAddress(pub [u8; 20]);

words! {
    /// Where a payout comes from.
    PayoutKind {
        /// From what payers brought to the settlement on Base.
        Pay = 0, "pay";
        /// Made there, against OPG locked on the ledger.
        Mint = 1, "mint";
    }
}

record! {
    /// One payee of a settlement.
    Payout in "og/payout/v1" {
        kind: PayoutKind,
        account: EvmAddress,
        amount: Amount,
    }
}

record! {
    /// What a run of epochs comes to on Base.
    SettlementRecord in "og/settlement/v1" {
        version: Version<1>,
        chain_id: u64,
        /// Counted from zero, without gaps.
        number: u64,
        first_epoch: u64,
        last_epoch: u64,
        /// Digest of the settlement before; zero for the first.
        previous: Digest,
        /// Root, count and sum of the tree over the payouts.
        payouts_root: Digest,
        payouts_count: u64,
        payouts_sum: Amount,
        /// How many of the burns on Base were credited on the ledger so far, and the digest of the last of them.
        burns: u64,
        burns_digest: Digest,
    }
}

record! {
    /// The key that speaks for the network from now on.
    KeyRotation in "og/rotation/v1" {
        version: Version<1>,
        chain_id: u64,
        /// Counted from one: the key of the genesis has none before it.
        serial: u64,
        key: GroupKey,
    }
}

record! {
    /// OPG destroyed on Base for an account on the ledger.
    Burn {
        serial: u64,
        from: EvmAddress,
        account: Digest,
        amount: Amount,
    }
}

impl Payout {
    pub fn leaf(&self) -> SumNode {
        SumNode::leaf(&self.digest(), self.amount)
    }

    /// Root over these payouts in their order; `None` when their sum does not fit.
    pub fn root(payouts: &[Self]) -> Option<SumNode> {
        merkle::root(&Self::leaves(payouts))
    }

    /// What proves the payout at `index` of these.
    pub fn path(payouts: &[Self], index: usize) -> Option<Vec<SumNode>> {
        merkle::path(&Self::leaves(payouts), index)
    }

    fn leaves(payouts: &[Self]) -> Vec<SumNode> {
        payouts.iter().map(Self::leaf).collect()
    }
}

impl SettlementRecord {
    /// Where the record of this number stands in the ledger's state.
    pub fn state_key(number: u64) -> Digest {
        hash("og/state/settlement/v1", &[&number.to_be_bytes()])
    }
}

impl KeyRotation {
    /// Where the rotation of this serial stands in the ledger's state.
    pub fn state_key(serial: u64) -> Digest {
        hash("og/state/rotation/v1", &[&serial.to_be_bytes()])
    }
}

impl Burn {
    /// The digest after this burn, which commits to all before it as well.
    pub fn chained(&self, before: &Digest) -> Digest {
        let (serial, amount) = (self.serial.to_be_bytes(), self.amount.to_be_bytes());
        hash("og/burn/v1", &[&before.0, &serial, &self.from.0, &self.account.0, &amount])
    }
}
