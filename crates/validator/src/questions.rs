//! What strangers ask of the ledger: what is needed is taken under its lock as pointers, and read from the disk without it, where nothing
//! else waits. What cannot be read is an error of the question; execution, which may never need it, goes on.

use std::sync::Arc;

use blocks::NativeOutcome;
use evm::StateError;
use ledger::{BundleError, ChallengeSight};
use network::Refusal as Answer;
use pages::PageError;
use protocol::{
    AccountProof, Digest, EvmAddress, EvmWord, GroupKey, NodeId, NodeRecord, ReceiptStatus, ShortBundle,
    service::{CertifiedEpoch, ChallengeView, GatewayCredit, ReceiptView},
    settled::ProvenSettlement,
};

use crate::{desk::Desk, node::Node};

/// Why the state could not be read.
pub(crate) struct Unreadable(pub String);

impl From<PageError> for Unreadable {
    fn from(error: PageError) -> Self {
        Self(error.to_string())
    }
}

impl From<StateError> for Unreadable {
    fn from(error: StateError) -> Self {
        Self(error.to_string())
    }
}

impl From<rpc::NodeError> for Unreadable {
    fn from(error: rpc::NodeError) -> Self {
        Self(error.to_string())
    }
}

/// Where a native transaction is.
pub(crate) enum Whereabouts {
    /// In this validator's pool.
    Waiting,
    Ended(NativeOutcome),
}

/// Asks where nothing else waits for the disk.
pub(crate) async fn asked<T: Send + 'static>(
    desk: &Arc<Desk>,
    question: impl FnOnce(&Node) -> Result<T, Unreadable> + Send + 'static,
) -> Result<T, Answer> {
    let node = Arc::clone(&desk.node);
    let asked = tokio::task::spawn_blocking(move || question(&node)).await;
    let answer = asked.unwrap_or_else(|error| Err(Unreadable(error.to_string())));
    answer.map_err(|Unreadable(reason)| {
        tracing::warn!(reason, "a question cannot be answered");
        Answer::unavailable("state_unreadable", "this validator cannot read that part of its state")
            .with_hint("ask another validator")
    })
}

impl Node {
    /// Where a native transaction is; nothing where it neither waits here nor was ended by a block that is kept.
    pub(crate) fn whereabouts(&self, id: &Digest) -> Result<Option<Whereabouts>, Unreadable> {
        // Asked first: what a block takes out of the pool is told of by then.
        if self.waits(id) {
            return Ok(Some(Whereabouts::Waiting));
        }
        Ok(self.ethereum.native(&id.0.into())?.map(Whereabouts::Ended))
    }

    /// Receipts whose challenge has an opening and waits for this validator's vote.
    pub fn undecided(&self) -> Vec<Digest> {
        let ledger = self.ledger();
        let Some(own) = ledger.key(&self.key().public_key()).map(|record| record.node) else { return Vec::new() };
        let answered = ledger.challenges().filter(|challenge| challenge.opening.is_some());
        let waiting = answered.filter(|challenge| challenge.ballots.iter().all(|ballot| ballot.validator != own));
        waiting.map(|challenge| challenge.receipt).collect()
    }

    /// An open challenge of a receipt, with its opening: openings are large, so it is asked for once it is to be judged.
    pub fn challenge(&self, receipt: &Digest) -> Option<ChallengeView> {
        let sight = self.ledger().challenge_sight(receipt)?;
        let views = self.challenge_views(vec![sight]).unwrap_or_else(|Unreadable(reason)| {
            tracing::warn!(reason, %receipt, "a challenge cannot be read");
            Vec::new()
        });
        views.into_iter().next()
    }

    fn status_of(&self, id: &Digest) -> Result<Option<ReceiptStatus>, Unreadable> {
        let sight = self.ledger().sight();
        Ok(sight.status(id)?)
    }

    pub(crate) fn receipt_view(&self, id: &Digest) -> Result<Option<ReceiptView>, Unreadable> {
        let Some(status) = self.status_of(id)? else { return Ok(None) };
        let place = self.ledger().receipt_sight(&status);
        let Some(place) = place else { return Ok(None) };
        Ok(Some(ReceiptView { receipt: place.read()?.as_ref().clone(), status }))
    }

    /// Of these receipts, those that are anchored.
    pub(crate) fn anchored(&self, ids: &[Digest]) -> Result<Vec<Digest>, Unreadable> {
        let sight = self.ledger().sight();
        Ok(sight.anchored(ids)?)
    }

    pub(crate) fn epoch_receipts(&self, epoch: u64) -> Result<Option<Vec<ReceiptView>>, Unreadable> {
        let ledger = self.ledger();
        if epoch == ledger.open_epoch() {
            let open = ledger.open_sight();
            drop(ledger);
            return Ok(Some(open.receipts()?));
        }
        let sight = ledger.epoch_sight(epoch);
        drop(ledger);
        Ok(sight.map(|sight| sight.receipts()).transpose()?)
    }

    /// The record of a closed epoch, without its certificate.
    pub(crate) fn epoch(&self, epoch: u64) -> Result<Option<CertifiedEpoch>, Unreadable> {
        let sight = self.ledger().epoch_sight(epoch);
        let Some(sight) = sight else { return Ok(None) };
        Ok(Some(CertifiedEpoch { record: sight.record()?, certificate: None }))
    }

    /// A receipt's bundle as of the newest certified epoch; `None` where none is certified.
    pub(crate) fn bundle(
        &self,
        id: &Digest,
        pinned: Option<&GroupKey>,
    ) -> Result<Option<Result<ShortBundle, BundleError>>, Unreadable> {
        let Some(certificate) = self.newest_certificate() else { return Ok(None) };
        let Some(status) = self.status_of(id)? else { return Ok(Some(Err(BundleError::UnknownReceipt))) };
        let bundled = self.ledger().bundled(status, certificate.epoch, certificate);
        readable(bundled.and_then(|bundled| bundled.aside().short(pinned))).map(Some)
    }

    /// A settlement as of the newest certified epoch; `None` where none is certified.
    pub(crate) fn settlement(&self, number: u64) -> Result<Option<Result<ProvenSettlement, BundleError>>, Unreadable> {
        let Some(certificate) = self.newest_certificate() else { return Ok(None) };
        let certified = self.ledger().certified(certificate.epoch, certificate);
        readable(certified.and_then(|certified| certified.aside().settlement(number))).map(Some)
    }

    /// An account, and perhaps a slot of its storage, as of the newest certified epoch; `None` where none is certified.
    pub(crate) fn account_proof(
        &self,
        address: &EvmAddress,
        slot: Option<&EvmWord>,
        pinned: Option<&GroupKey>,
    ) -> Result<Option<Result<AccountProof, BundleError>>, Unreadable> {
        let Some(certificate) = self.newest_certificate() else { return Ok(None) };
        let certified = self.ledger().certified_evm(certificate.epoch, certificate);
        readable(certified.and_then(|certified| certified.aside().account(address, slot, pinned))).map(Some)
    }

    /// At most `count` open challenges, in the order of their receipts, behind `after`.
    pub(crate) fn challenges_after(
        &self,
        after: Option<Digest>,
        count: usize,
    ) -> Result<Vec<ChallengeView>, Unreadable> {
        let sights = self.ledger().challenge_sights(after, count);
        self.challenge_views(sights)
    }

    fn challenge_views(&self, sights: Vec<ChallengeSight>) -> Result<Vec<ChallengeView>, Unreadable> {
        let mut views = Vec::with_capacity(sights.len());
        for sight in sights {
            if let Some(view) = self.receipt_view(&sight.receipt)? {
                views.push(sight.with(&view.receipt));
            }
        }
        Ok(views)
    }

    pub(crate) fn nodes(&self) -> Result<Vec<NodeRecord>, Unreadable> {
        let (listed, accounts) = {
            let ledger = self.ledger();
            (ledger.listed().cloned().collect::<Vec<_>>(), ledger.accounts())
        };
        listed.into_iter().map(|listed| Ok(accounts.node(listed)?)).collect()
    }

    pub(crate) fn node(&self, id: &NodeId) -> Result<Option<NodeRecord>, Unreadable> {
        let (listed, accounts) = {
            let ledger = self.ledger();
            (ledger.listed_node(id).cloned(), ledger.accounts())
        };
        Ok(listed.map(|listed| accounts.node(listed)).transpose()?)
    }

    pub(crate) fn credit(&self, gateway: &NodeId) -> Result<GatewayCredit, Unreadable> {
        let (dues, accounts) = {
            let ledger = self.ledger();
            (ledger.dues(gateway), ledger.accounts())
        };
        Ok(accounts.credit(&dues)?)
    }

    pub(crate) fn balance(&self, address: &EvmAddress) -> Result<protocol::Amount, Unreadable> {
        let accounts = self.ledger().accounts();
        Ok(accounts.balance(address)?)
    }

    pub(crate) fn burned(&self) -> Result<protocol::Amount, Unreadable> {
        let accounts = self.ledger().accounts();
        Ok(accounts.burned()?)
    }
}

/// What was refused for other reasons stays an answer. Records that contradict each other are no question's fault either.
fn readable<T>(answer: Result<T, BundleError>) -> Result<Result<T, BundleError>, Unreadable> {
    match answer {
        Err(BundleError::Unreadable(error)) => Err(error.into()),
        Err(error @ BundleError::OtherRecords) => Err(Unreadable(error.to_string())),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_contradict_each_other_are_this_validators_trouble_and_another_may_answer() {
        let found = readable::<()>(Err(BundleError::OtherRecords));
        assert!(matches!(found, Err(Unreadable(reason)) if reason.contains("do not follow from it")));
        assert!(matches!(readable::<()>(Err(BundleError::UnknownReceipt)), Ok(Err(BundleError::UnknownReceipt))));
    }
}
