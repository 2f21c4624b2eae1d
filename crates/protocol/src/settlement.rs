//! What the ledger tells Base: who is paid what there, and which key speaks for the network next (`specs/settlement.md`).
//!
//! Each record stands in the ledger's state, so that the certificate of any later epoch vouches for it. `contracts/src/Settlement.sol`
//! reads the same bytes at fixed places: every field here has a fixed width.

use std::fmt;

use crypto::{
    Digest, PublicKey, hash, merkle,
    merkle::SumNode,
    threshold::{GroupKey, GroupSignature},
};

use crate::{
    Amount,
    canonical::{Noun, Version},
    nouns::{record, words},
};

/// An account on an EVM chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EvmAddress(pub [u8; 20]);

/// As wallets write it, without the checksum of letters.
impl fmt::Display for EvmAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

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
    /// Which key speaks for the network next. The key before signs the digest of it (`specs/rotation.md`).
    KeyRotation in "og/rotation/v1" {
        version: Version<1>,
        chain_id: u64,
        /// Counted from one: the key of the genesis has none before it.
        serial: u64,
        key: GroupKey,
    }
}

record! {
    /// A rotation with the signature of the key before: whoever believes that one believes the next.
    CertifiedRotation { rotation: KeyRotation, signature: GroupSignature, }
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

record! {
    /// Where the ledger stands with Base.
    BridgeRecord {
        /// How many settlements and rotations were written.
        settlements: u64,
        rotations: u64,
        /// What is owed on Base and stands in no settlement yet.
        owed: Amount,
        /// How many burns on Base were credited, and the digest of the last of them.
        burns: u64,
        burns_digest: Digest,
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
    /// The settlement that continues `before` up to `last_epoch`; `None` when no epoch is left for it, or the sum does not fit.
    pub fn after(
        before: Option<&Self>,
        chain_id: u64,
        last_epoch: u64,
        payouts: &[Payout],
        burns: (u64, Digest),
    ) -> Option<Self> {
        let first_epoch = before.map_or(Some(0), |before| before.last_epoch.checked_add(1))?;
        let root = Payout::root(payouts)?;
        Some(Self {
            version: Version,
            chain_id,
            number: before.map_or(Some(0), |before| before.number.checked_add(1))?,
            first_epoch,
            last_epoch: Some(last_epoch).filter(|last| *last >= first_epoch)?,
            previous: before.map_or(Digest::ZERO, Noun::digest),
            payouts_root: root.digest,
            payouts_count: u64::try_from(payouts.len()).ok()?,
            payouts_sum: root.sum,
            burns: burns.0,
            burns_digest: burns.1,
        })
    }

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

/// Whose account on the ledger a burn names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beneficiary {
    Wallet(EvmAddress),
    Key(PublicKey),
}

impl Beneficiary {
    /// How a burn names it.
    pub fn account(&self) -> Digest {
        match self {
            Self::Key(key) => Digest(key.0),
            Self::Wallet(address) => {
                let mut word = [0; 32];
                word.iter_mut().skip(12).zip(&address.0).for_each(|(to, from)| *to = *from);
                Digest(word)
            }
        }
    }
}

impl Burn {
    /// Whom it is for: behind twelve bytes of zero an address of the EVM, else an ed25519 key.
    pub fn beneficiary(&self) -> Beneficiary {
        match self.account.0.split_first_chunk::<12>() {
            Some(([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], address)) => {
                let mut wallet = [0; 20];
                wallet.iter_mut().zip(address).for_each(|(to, from)| *to = *from);
                Beneficiary::Wallet(EvmAddress(wallet))
            }
            _ => Beneficiary::Key(PublicKey(self.account.0)),
        }
    }

    /// The digest after this burn, which commits to all before it as well.
    pub fn chained(&self, before: &Digest) -> Digest {
        let (serial, amount) = (self.serial.to_be_bytes(), self.amount.to_be_bytes());
        hash("og/burn/v1", &[&before.0, &serial, &self.from.0, &self.account.0, &amount])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(amounts: &[Amount]) -> Vec<Payout> {
        let payout = |amount: &Amount| Payout { kind: PayoutKind::Pay, account: EvmAddress([1; 20]), amount: *amount };
        amounts.iter().map(payout).collect()
    }

    #[test]
    fn settlements_follow_each_other_without_a_gap() {
        let none = (0, Digest::ZERO);
        let first = SettlementRecord::after(None, 7, 4, &paid(&[1, 2]), none).unwrap();
        let second = SettlementRecord::after(Some(&first), 7, 5, &[], none).unwrap();
        assert_eq!((first.number, first.first_epoch, first.payouts_sum), (0, 0, 3));
        assert_eq!((second.number, second.first_epoch, second.previous), (1, 5, first.digest()));
        assert_eq!(SettlementRecord::after(Some(&second), 7, 5, &[], none), None, "its epoch is settled");
        assert_eq!(SettlementRecord::after(None, 7, 4, &paid(&[Amount::MAX, 1]), none), None);
    }

    #[test]
    fn a_burn_names_a_wallet_or_a_key_and_both_come_back() {
        let burn = |account| Burn { serial: 0, from: EvmAddress([1; 20]), account, amount: 1 };
        for named in [Beneficiary::Wallet(EvmAddress([7; 20])), Beneficiary::Key(PublicKey([7; 32]))] {
            assert_eq!(burn(named.account()).beneficiary(), named);
        }
    }

    #[test]
    fn the_payouts_of_a_settlement_have_paths_to_its_root() {
        let payouts = paid(&[5, 6, 7]);
        let root = Payout::root(&payouts).unwrap();
        for (index, payout) in payouts.iter().enumerate() {
            let path = Payout::path(&payouts, index).unwrap();
            assert_eq!(merkle::climb(&payout.leaf(), index as u64, 3, &path), Some(root));
        }
        assert_eq!(Payout::path(&payouts, 3), None);
    }
}
