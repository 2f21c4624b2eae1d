//! Bundles: a receipt with the proofs of where it stood as of one certified epoch.

use crypto::merkle::{self, SumNode};
use pages::{PageError, Tree};
use protocol::{
    BridgeRecord, Bundle, Canonical as _, Certificate, CertifiedRotation, Digest, GroupKey, KeyRecord, List,
    ROTATIONS_MAX, ROTATIONS_USUAL, ReceiptStatus, SignedReceipt, Version,
    bundle::{ReceiptInclusion, StateProof, SumStep},
    settled::ProvenSettlement,
};
use thiserror::Error;

use crate::{
    epochs::EpochAt,
    leaf::Leaf,
    ledger::Ledger,
    present::ReceiptAt,
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
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
    #[error(transparent)]
    Unreadable(#[from] PageError),
}

/// A closed epoch under its certificate, and the state as of its end: pointers, taken from a ledger and read without it.
#[derive(Clone, Debug)]
pub struct Certified {
    certificate: Certificate,
    newest: EpochAt,
    tree: Tree<Leaf>,
}

/// What a bundle is made of, in the same way.
#[derive(Clone, Debug)]
pub struct Bundled {
    chain_id: u64,
    status: ReceiptStatus,
    receipt: ReceiptAt,
    anchoring: EpochAt,
    history: Vec<Digest>,
    certified: Certified,
    rotations: Vec<CertifiedRotation>,
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
        let status = self.present.state.statuses.find(id)?.ok_or(BundleError::UnknownReceipt)?;
        self.bundled(status, as_of, certificate)?.bundle(pinned)
    }

    /// What the bundle of the receipt with this status is made of.
    pub fn bundled(&self, status: ReceiptStatus, as_of: u64, certificate: Certificate) -> Result<Bundled, BundleError> {
        let state = &self.present.state;
        let receipt = self.present.receipt_place(&status).ok_or(BundleError::UnknownReceipt)?;
        let anchored = status.epoch;
        let not_covered = || BundleError::NotCovered { anchored, as_of };
        // First whether anything can be shown as of then: a certificate that is too old has nobody wait for what it will never cover.
        let certified = self.certified(as_of, certificate)?;
        let anchoring = state.epochs.at(anchored).filter(|_| anchored <= as_of).ok_or_else(not_covered)?;
        let history = if anchored == as_of {
            Vec::new()
        } else {
            state.epochs.history.path(anchored, as_of).ok_or_else(not_covered)?
        };
        let (chain_id, rotations) = (state.network.chain_id, self.rotations().cloned().collect());
        Ok(Bundled { chain_id, status, receipt, anchoring, history, certified, rotations })
    }

    /// A recent epoch, which `certificate` certifies.
    pub fn certified(&self, as_of: u64, certificate: Certificate) -> Result<Certified, BundleError> {
        let newest = self.present.state.epochs.at(as_of).ok_or(BundleError::NotClosed { as_of })?;
        if certificate.epoch != as_of {
            return Err(BundleError::WrongCertificate { found: certificate.epoch, as_of });
        }
        let tree = self.archive.tree_as_of(as_of).ok_or(BundleError::TooOld { as_of })?.clone();
        Ok(Certified { certificate, newest, tree })
    }

    /// Where the EVM stood at the end of a recent epoch, and the proof of it under that epoch's state root.
    pub fn evm_record(&self, as_of: u64) -> Option<BoundEvm> {
        let tree = self.archive.tree_as_of(as_of)?;
        let record = EvmRecord::decode(tree.find(&key_of::evm()).ok()??.row_bytes()).ok()?;
        Some(BoundEvm { record, proof: StateProof::new(&tree.prove(&key_of::evm()).ok()?)? })
    }
}

impl Bundled {
    /// The same for whoever only asks: what cannot be read is an error of the question.
    pub fn aside(self) -> Self {
        let (receipt, anchoring) = (self.receipt.aside(), self.anchoring.aside());
        Self { receipt, anchoring, certified: self.certified.aside(), ..self }
    }

    /// The bundle, see `Ledger::bundle`.
    pub fn bundle(self, pinned: Option<&GroupKey>) -> Result<Bundle, BundleError> {
        let receipt = self.receipt.read()?;
        let Certified { certificate, newest, tree } = &self.certified;
        let (status, status_proof) = prove::<ReceiptStatus>(tree, &self.status.receipt)?;
        let (key, key_proof) = prove::<KeyRecord>(tree, &receipt.receipt.worker_key)?;
        let made = match prove::<BridgeRecord>(tree, &()) {
            Ok((bridge, _)) => bridge.rotations,
            Err(error @ BundleError::Unreadable(_)) => return Err(error),
            Err(_) => 0,
        };
        Ok(Bundle {
            version: Version,
            chain_id: self.chain_id,
            receipt: SignedReceipt::clone(&receipt),
            opening: None,
            inclusion: self.inclusion()?,
            as_of: newest.record()?,
            certificate: certificate.clone(),
            history: List::new(self.history.clone()).map_err(|_| BundleError::TooLong("the history path"))?,
            key,
            key_proof,
            status,
            status_proof,
            rotations: self.rotations_shown(made, pinned),
        })
    }

    /// The newest of the first so many rotations: those after the pinned key, if it is known.
    fn rotations_shown(&self, made: u64, pinned: Option<&GroupKey>) -> List<CertifiedRotation, ROTATIONS_MAX> {
        let made: Vec<_> = self.rotations.iter().take_while(|certified| certified.rotation.serial <= made).collect();
        let before = |key: &GroupKey| made.iter().rposition(|certified| certified.rotation.key == *key);
        let needed = match pinned {
            None => ROTATIONS_USUAL,
            Some(key) => before(key).map_or(made.len(), |place| made.len().saturating_sub(place).saturating_sub(1)),
        };
        let shown = made.iter().skip(made.len().saturating_sub(needed.min(ROTATIONS_MAX)));
        List::new(shown.map(|certified| (*certified).clone()).collect()).unwrap_or_default()
    }

    fn inclusion(&self) -> Result<ReceiptInclusion, BundleError> {
        let (index, leaves) = (self.status.index, self.anchoring.leaves()?);
        let leaves: Vec<_> = leaves.iter().map(|(id, charge)| SumNode::leaf(id, *charge)).collect();
        let place = usize::try_from(index).ok();
        let path = place.and_then(|place| merkle::path(&leaves, place)).ok_or(BundleError::UnknownReceipt)?;
        let path = List::new(path.iter().map(SumStep::from).collect());
        let path = path.map_err(|_| BundleError::TooLong("the path to the receipt"))?;
        Ok(ReceiptInclusion { epoch: self.anchoring.record()?, index, path })
    }
}

impl Certified {
    /// The same for whoever only asks: what cannot be read is an error of the question.
    pub fn aside(self) -> Self {
        Self { newest: self.newest.aside(), tree: self.tree.aside(), ..self }
    }

    /// The settlement of this number, as of then.
    pub fn settlement(self, number: u64) -> Result<ProvenSettlement, BundleError> {
        let (record, proof) = prove(&self.tree, &number)?;
        Ok(ProvenSettlement { record, as_of: self.newest.record()?, certificate: self.certificate, proof })
    }
}

/// A row as of a recent epoch, and its proof under that epoch's state root.
fn prove<R: Row>(tree: &Tree<Leaf>, key: &R::Key) -> Result<(R, StateProof), BundleError> {
    let state_key = R::state_key(key);
    let leaf = tree.find(&state_key)?;
    let row = leaf.and_then(|leaf| R::decode(leaf.row_bytes()).ok()).ok_or(BundleError::UnknownReceipt)?;
    let proof = StateProof::new(&tree.prove(&state_key)?).ok_or(BundleError::TooLong("the path in the state"))?;
    Ok((row, proof))
}
