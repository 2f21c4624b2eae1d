//! Bundles: a receipt with the proofs of where it stood as of one certified epoch.

use crypto::merkle::{self, SumNode};
use protocol::{
    BridgeRecord, Bundle, Canonical as _, Certificate, CertifiedRotation, Digest, EpochRecord, GroupKey, KeyRecord,
    List, ROTATIONS_MAX, ROTATIONS_USUAL, ReceiptStatus, SignedReceipt, Version,
    bundle::{ReceiptInclusion, StateProof, SumStep},
};
use thiserror::Error;

use crate::{
    archive::Archive,
    ledger::Ledger,
    records::{EvmRecord, key_of},
    table::Row,
};

/// Where the EVM stood at the end of an epoch, provably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundEvm {
    pub record: EvmRecord,
    /// Of the record at `key_of::evm`, under the epoch's state root.
    pub proof: StateProof,
}

/// Why there is no such bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BundleError {
    #[error("failed to bundle receipt: it is not anchored")]
    UnknownReceipt,
    #[error("failed to bundle receipt: it was anchored in epoch {anchored}, after epoch {as_of}; hint: try again soon")]
    NotCovered { anchored: u64, as_of: u64 },
    #[error("failed to bundle receipt: epoch {as_of} is not closed")]
    NotClosed { as_of: u64 },
    #[error("failed to bundle receipt: epoch {as_of} is not among the newest, which are kept")]
    TooOld { as_of: u64 },
    #[error("failed to bundle receipt: the certificate is for epoch {found}, {as_of} expected")]
    WrongCertificate { found: u64, as_of: u64 },
    /// No path that the trees make is longer than the bundle's format allows; said rather than assumed.
    #[error("failed to bundle receipt: {0} is longer than its format allows")]
    TooLong(&'static str),
}

impl Ledger {
    /// The bundle of an anchored receipt as of a closed epoch, which `certificate` certifies; without an opening. It carries the
    /// rotations that whoever pinned this key needs; for nobody in particular, the last [`ROTATIONS_USUAL`].
    pub fn bundle(
        &self,
        id: &Digest,
        as_of: u64,
        certificate: Certificate,
        pinned: Option<&GroupKey>,
    ) -> Result<Bundle, BundleError> {
        let state = &self.present.state;
        let status = state.statuses.get(id).ok_or(BundleError::UnknownReceipt)?;
        let receipt = self.present.receipt_at(&status).ok_or(BundleError::UnknownReceipt)?;
        let newest = state.epochs.record(as_of).ok_or(BundleError::NotClosed { as_of })?;
        let anchored = status.epoch;
        let not_covered = BundleError::NotCovered { anchored, as_of };
        let anchoring = state.epochs.record(anchored).filter(|_| anchored <= as_of).ok_or(not_covered)?;
        if certificate.epoch != as_of {
            return Err(BundleError::WrongCertificate { found: certificate.epoch, as_of });
        }
        let (status, status_proof) = prove::<ReceiptStatus>(&self.archive, as_of, id)?;
        let (key, key_proof) = prove::<KeyRecord>(&self.archive, as_of, &receipt.receipt.worker_key)?;
        let history = if anchored == as_of {
            Vec::new()
        } else {
            state.epochs.history.path(anchored, as_of).ok_or(not_covered)?
        };
        let made = prove::<BridgeRecord>(&self.archive, as_of, &()).map_or(0, |(bridge, _)| bridge.rotations);
        Ok(Bundle {
            version: Version,
            chain_id: state.network.chain_id,
            receipt: SignedReceipt::clone(&receipt),
            opening: None,
            inclusion: self.inclusion(&anchoring, status.index)?,
            as_of: newest,
            certificate,
            history: List::new(history).map_err(|_| BundleError::TooLong("the history path"))?,
            key,
            key_proof,
            status,
            status_proof,
            rotations: self.rotations_shown(made, pinned),
        })
    }

    /// Where the EVM stood at the end of a recent epoch, and the proof of it under that epoch's state root.
    pub fn evm_record(&self, as_of: u64) -> Option<BoundEvm> {
        let tree = self.archive.tree_as_of(as_of)?;
        let record = EvmRecord::decode(tree.find(&key_of::evm()).ok()??.row_bytes()).ok()?;
        Some(BoundEvm { record, proof: StateProof::new(&tree.prove(&key_of::evm()).ok()?)? })
    }

    /// The newest of the first so many rotations: those after the pinned key, if it is known.
    fn rotations_shown(&self, made: u64, pinned: Option<&GroupKey>) -> List<CertifiedRotation, ROTATIONS_MAX> {
        let made: Vec<_> = self.rotations().take_while(|certified| certified.rotation.serial <= made).collect();
        let before = |key: &GroupKey| made.iter().rposition(|certified| certified.rotation.key == *key);
        let needed = match pinned {
            None => ROTATIONS_USUAL,
            Some(key) => before(key).map_or(made.len(), |place| made.len().saturating_sub(place).saturating_sub(1)),
        };
        let shown = made.iter().skip(made.len().saturating_sub(needed.min(ROTATIONS_MAX)));
        List::new(shown.map(|certified| (*certified).clone()).collect()).unwrap_or_default()
    }

    fn inclusion(&self, anchoring: &EpochRecord, index: u64) -> Result<ReceiptInclusion, BundleError> {
        let leaves = self.present.state.epochs.leaves(anchoring.epoch).ok_or(BundleError::UnknownReceipt)?;
        let leaves: Vec<_> = leaves.iter().map(|(id, charge)| SumNode::leaf(id, *charge)).collect();
        let place = usize::try_from(index).ok();
        let path = place.and_then(|place| merkle::path(&leaves, place)).ok_or(BundleError::UnknownReceipt)?;
        let path = List::new(path.iter().map(SumStep::from).collect());
        let path = path.map_err(|_| BundleError::TooLong("the path to the receipt"))?;
        Ok(ReceiptInclusion { epoch: anchoring.clone(), index, path })
    }
}

/// A row as of a recent epoch, and its proof under that epoch's state root.
pub(crate) fn prove<R: Row>(archive: &Archive, as_of: u64, key: &R::Key) -> Result<(R, StateProof), BundleError> {
    let tree = archive.tree_as_of(as_of).ok_or(BundleError::TooOld { as_of })?;
    let state_key = R::state_key(key);
    // What cannot be read is nowhere: the disk's keeper tells and stops.
    let leaf = tree.find(&state_key).ok().flatten();
    let row = leaf.and_then(|leaf| R::decode(leaf.row_bytes()).ok()).ok_or(BundleError::UnknownReceipt)?;
    let proof = tree.prove(&state_key).map_err(|_| BundleError::UnknownReceipt)?;
    let proof = StateProof::new(&proof).ok_or(BundleError::TooLong("the path in the state"))?;
    Ok((row, proof))
}
