//! What is told of settlements, with proofs: to whoever carries them to Base, and to those who are paid there.

use protocol::{
    Certificate, EvmAddress, List, Payout,
    bundle::SumStep,
    settled::{ProvenPayout, ProvenSettlement},
};

use crate::{bundle::BundleError, ledger::Ledger};

impl Ledger {
    /// The settlement of this number as of a closed epoch, which `certificate` certifies.
    pub fn prove_settlement(
        &self,
        number: u64,
        as_of: u64,
        certificate: Certificate,
    ) -> Result<ProvenSettlement, BundleError> {
        self.certified(as_of, certificate)?.settlement(number)
    }

    /// A payout with its way to its settlement's root.
    pub fn prove_payout(&self, number: u64, index: u64) -> Option<ProvenPayout> {
        let payouts = self.present.state.payouts.get(&number)?;
        let place = usize::try_from(index).ok()?;
        let path = Payout::path(payouts, place)?.iter().map(SumStep::from).collect();
        Some(ProvenPayout { number, index, payout: payouts.get(place)?.clone(), path: List::new(path).ok()? })
    }

    /// At most `count` payouts of an account from settlement `from` on, oldest first.
    pub fn payouts_of(&self, account: &EvmAddress, from: u64, count: usize) -> Vec<ProvenPayout> {
        let places = self.present.state.payees.get(account).map(Vec::as_slice).unwrap_or_default();
        let later = places.iter().skip(places.partition_point(|(number, _)| *number < from));
        later.take(count).filter_map(|(number, index)| self.prove_payout(*number, *index)).collect()
    }
}
