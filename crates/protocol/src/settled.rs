//! Settlements and payouts with their proofs, as validators give them to whoever carries them to Base or is paid there.

use crypto::{merkle, merkle::SumNode, threshold::GroupKey};

use crate::{
    bounded::List,
    bundle::{StateProof, SumStep},
    canonical::Canonical as _,
    epoch::{Certificate, EpochRecord},
    nouns::record,
    settlement::{Payout, SettlementRecord},
};

record! {
    /// A settlement, and that it stands in the state of a certified epoch.
    ProvenSettlement { record: SettlementRecord, as_of: EpochRecord, certificate: Certificate, proof: StateProof, }
}

record! {
    /// A payout, and its way to the root of the settlement of this number.
    ProvenPayout { number: u64, index: u64, payout: Payout, path: List<SumStep, 64>, }
}

impl ProvenSettlement {
    /// True only if the network's key vouches for the record.
    pub fn holds(&self, network: &GroupKey) -> bool {
        let (key, bytes) = (SettlementRecord::state_key(self.record.number), self.record.encode());
        self.certificate.certifies(&self.as_of, network) && self.proof.holds(&self.as_of.state_root, &key, Some(&bytes))
    }
}

impl ProvenPayout {
    /// True only if the settlement's root commits to the payout.
    pub fn holds(&self, settlement: &SettlementRecord) -> bool {
        let path: Vec<SumNode> = self.path.iter().map(SumNode::from).collect();
        let root = merkle::climb(&self.payout.leaf(), self.index, settlement.payouts_count, &path);
        let expected = SumNode { digest: settlement.payouts_root, sum: settlement.payouts_sum };
        self.number == settlement.number && root == Some(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EvmAddress, PayoutKind};
    use crypto::Digest;

    #[test]
    fn a_payout_is_proven_for_its_own_settlement_place_and_amount() {
        let paid = |amount| Payout { kind: PayoutKind::Pay, account: EvmAddress([1; 20]), amount };
        let payouts = [5, 6, 7].map(paid);
        let record = SettlementRecord::after(None, 7, 4, &payouts, (0, Digest::ZERO)).unwrap();
        let path = Payout::path(&payouts, 1).unwrap().iter().map(SumStep::from).collect();
        let proven = ProvenPayout { number: 0, index: 1, payout: payouts[1].clone(), path: List::new(path).unwrap() };
        assert!(proven.holds(&record));
        assert!(!ProvenPayout { number: 1, ..proven.clone() }.holds(&record));
        assert!(!ProvenPayout { index: 0, ..proven.clone() }.holds(&record));
        assert!(!ProvenPayout { payout: payouts[2].clone(), ..proven }.holds(&record));
    }
}
