//! Bundles: a receipt with the proofs of where it stood as of one certified epoch; settlements and accounts likewise.

use alloy_primitives::{Address, U256};
use crypto::{
    merkle::{self, SumNode},
    sparse,
};
use evm::{StateError, StateRead as _, World};
use pages::{PageError, Tree};
use protocol::{
    AccountProof, BridgeRecord, Bundle, Certificate, CertifiedRotation, Digest, EvmAccount, EvmAddress, EvmRecord,
    EvmWord, GroupKey, KeyRecord, List, ROTATIONS_MAX, ROTATIONS_USUAL, ReceiptStatus, ShortBundle, SignedReceipt,
    SlotProof, Version,
    bundle::{ReceiptInclusion, StateProof, SumStep},
    settled::ProvenSettlement,
};
use thiserror::Error;

use crate::{epochs::EpochAt, leaf::Leaf, ledger::Ledger, present::ReceiptAt, table::Row};

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
    #[error("failed to bundle receipt: the records of its key and its status do not follow from it")]
    OtherRecords,
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

/// The same with the EVM's state as of then: what proofs of accounts are made of.
#[derive(Clone, Debug)]
pub struct CertifiedEvm {
    certified: Certified,
    world: World,
    rotations: Vec<CertifiedRotation>,
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

    /// The EVM as of one of the newest epochs, which `certificate` certifies.
    pub fn certified_evm(&self, as_of: u64, certificate: Certificate) -> Result<CertifiedEvm, BundleError> {
        let certified = self.certified(as_of, certificate)?;
        let world = self.archive.world_as_of(as_of).ok_or(BundleError::TooOld { as_of })?.clone();
        Ok(CertifiedEvm { certified, world, rotations: self.rotations().cloned().collect() })
    }
}

impl Bundled {
    /// The same for whoever only asks: what cannot be read is an error of the question.
    pub fn aside(self) -> Self {
        let (receipt, anchoring) = (self.receipt.aside(), self.anchoring.aside());
        Self { receipt, anchoring, certified: self.certified.aside(), ..self }
    }

    /// The bundle as it is handed out: without what follows from the rest.
    pub fn short(self, pinned: Option<&GroupKey>) -> Result<ShortBundle, BundleError> {
        self.bundle(pinned)?.short().ok_or(BundleError::OtherRecords)
    }

    /// The bundle, see `Ledger::bundle`.
    pub fn bundle(self, pinned: Option<&GroupKey>) -> Result<Bundle, BundleError> {
        let receipt = self.receipt.read()?;
        let Certified { certificate, newest, tree } = &self.certified;
        let (status, status_proof) = prove::<ReceiptStatus>(tree, &self.status.receipt)?;
        let (key, key_proof) = prove::<KeyRecord>(tree, &receipt.receipt.worker_key)?;
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
            rotations: self.certified.rotations_shown(&self.rotations, pinned)?,
        })
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

    /// Of all rotations, the newest that the state knew then: those after the pinned key, if it is known.
    fn rotations_shown(
        &self,
        all: &[CertifiedRotation],
        pinned: Option<&GroupKey>,
    ) -> Result<List<CertifiedRotation, ROTATIONS_MAX>, BundleError> {
        let made = match prove::<BridgeRecord>(&self.tree, &()) {
            Ok((bridge, _)) => bridge.rotations,
            Err(error @ BundleError::Unreadable(_)) => return Err(error),
            Err(_) => 0,
        };
        let made: Vec<_> = all.iter().take_while(|certified| certified.rotation.serial <= made).collect();
        let before = |key: &GroupKey| made.iter().rposition(|certified| certified.rotation.key == *key);
        let needed = match pinned {
            None => ROTATIONS_USUAL,
            Some(key) => before(key).map_or(made.len(), |place| made.len().saturating_sub(place).saturating_sub(1)),
        };
        let shown = made.iter().skip(made.len().saturating_sub(needed.min(ROTATIONS_MAX)));
        Ok(List::new(shown.map(|certified| (*certified).clone()).collect()).unwrap_or_default())
    }
}

impl CertifiedEvm {
    /// The same for whoever only asks: what cannot be read is an error of the question.
    pub fn aside(self) -> Self {
        Self { certified: self.certified.aside(), world: self.world.aside(), ..self }
    }

    /// An account as of then, and a slot of its storage if one is named; with the rotations that whoever pinned this key needs.
    pub fn account(
        self,
        address: &EvmAddress,
        slot: Option<&EvmWord>,
        pinned: Option<&GroupKey>,
    ) -> Result<AccountProof, BundleError> {
        let (evm, evm_proof) = prove::<EvmRecord>(&self.certified.tree, &())?;
        let here = Address::from(address.0);
        let account = self.world.account(&here).map_err(unreadable)?;
        Ok(AccountProof {
            version: Version,
            address: *address,
            account: account.as_ref().map(EvmAccount::from),
            account_proof: written(&self.world.prove_account(&here).map_err(unreadable)?)?,
            slot: slot.map(|slot| self.slot(&here, slot)).transpose()?,
            evm,
            evm_proof,
            as_of: self.certified.newest.record()?,
            rotations: self.certified.rotations_shown(&self.rotations, pinned)?,
            certificate: self.certified.certificate,
        })
    }

    fn slot(&self, address: &Address, slot: &EvmWord) -> Result<SlotProof, BundleError> {
        let place = U256::from_be_bytes(slot.0);
        let value = EvmWord(self.world.slot(address, &place).map_err(unreadable)?.to_be_bytes());
        let proof = written(&self.world.prove_slot(address, &place).map_err(unreadable)?)?;
        Ok(SlotProof { slot: *slot, value, proof })
    }
}

fn unreadable(error: StateError) -> BundleError {
    BundleError::Unreadable(PageError(error.0))
}

/// A path as the wire carries it.
fn written(proof: &sparse::Proof) -> Result<StateProof, BundleError> {
    StateProof::new(proof).ok_or(BundleError::TooLong("the path in the state"))
}

/// A row as of a recent epoch, and its proof under that epoch's state root.
fn prove<R: Row>(tree: &Tree<Leaf>, key: &R::Key) -> Result<(R, StateProof), BundleError> {
    let state_key = R::state_key(key);
    let leaf = tree.find(&state_key)?;
    let row = leaf.and_then(|leaf| R::decode(leaf.row_bytes()).ok()).ok_or(BundleError::UnknownReceipt)?;
    Ok((row, written(&tree.prove(&state_key)?)?))
}
