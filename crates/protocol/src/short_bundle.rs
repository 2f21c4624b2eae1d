//! The short bundle, which version 2 writes: what follows from the rest is left out (`specs/bundle.md`, *Version 2*).
//!
//! It leads to the whole bundle, which is what is checked: what is left out cannot be lied about, and nothing is believed that a whole bundle
//! would have had to show.

use crypto::{
    Digest,
    fork::Fork,
    history,
    merkle::{self, SumNode},
    sparse,
    threshold::{GroupKey, GroupSignature},
};
use thiserror::Error;

use crate::{
    Amount, Milliseconds, NodeId,
    bounded::List,
    bundle::{Bundle, ReceiptInclusion, StateProof, SumStep},
    canonical::{Canonical, DecodeError, Noun as _, Reader, Version},
    epoch::{Certificate, EpochRecord},
    nouns::record,
    receipt::{Opening, SignedReceipt},
    registry::{KeyRecord, ReceiptStatus, Role, Standing, state_key},
    rotation::ROTATIONS_MAX,
    settlement::{CertifiedRotation, KeyRotation},
    value::{Value, ValueError},
};

record! {
    /// Where the receipt lies, and of the record of the epoch that anchored it what neither the receipt nor the path gives.
    ShortInclusion {
        epoch: u64,
        first_height: u64,
        last_height: u64,
        time_ms: Milliseconds,
        history_root: Digest,
        receipts_count: u64,
        verdicts_root: Digest,
        state_root: Digest,
        challenge_window: u32,
        index: u64,
        path: List<SumStep, 64>,
    }
}

record! {
    /// Of the record of an epoch after the anchoring one, what no path gives; and the path of the anchoring epoch in its history.
    LaterEpoch {
        epoch: u64,
        first_height: u64,
        last_height: u64,
        time_ms: Milliseconds,
        receipts_root: Digest,
        receipts_count: u64,
        receipts_sum: Amount,
        verdicts_root: Digest,
        challenge_window: u32,
        history: List<Digest, 64>,
    }
}

record! {
    /// Of the receipt's status, what the receipt and its place do not give.
    ShortStatus { gateway: NodeId, standing: Standing, audits: u32, slashed: Amount, }
}

record! {
    /// A rotation of the chain's network key.
    ShortRotation { serial: u64, key: GroupKey, signature: GroupSignature, }
}

record! {
    /// A receipt, and the proofs of where it stands as of one certified epoch, without what follows from the rest.
    ShortBundle in "og/bundle/v2" {
        version: Version<2>,
        receipt: SignedReceipt,
        /// The caller's own opening; absent where only the receipt is shown.
        opening: Option<Opening>,
        inclusion: ShortInclusion,
        /// The certified epoch that the proofs speak about; `None` where it is the anchoring one.
        as_of: Option<LaterEpoch>,
        /// The network's signature over that epoch's record.
        certificate: GroupSignature,
        key_valid_until: u64,
        /// Siblings on the way to the key in the state, from the root on, without the one at the place where the status's way parts from it.
        key_path: List<Digest, 256>,
        status: ShortStatus,
        /// Siblings on the way to the status below that place.
        status_path: List<Digest, 256>,
        /// As in a whole bundle.
        rotations: List<ShortRotation, ROTATIONS_MAX>,
    }
}

/// Why a short bundle leads to no whole one: a path that fits nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnfitPath {
    #[error("inclusion.path: {steps} steps do not fit place {index} of {count}")]
    Inclusion { steps: usize, index: u64, count: u64 },
    #[error("as_of.history: {steps} steps do not fit epoch {epoch} among those before {as_of}")]
    History { steps: usize, epoch: u64, as_of: u64 },
    #[error(
        "key_path, status_path: {key} and {status} siblings found, which are not the ways to two leaves of one state"
    )]
    State { key: usize, status: usize },
}

impl ShortBundle {
    /// The epoch that the bundle speaks as of.
    pub fn as_of_epoch(&self) -> u64 {
        self.as_of.as_ref().map_or(self.inclusion.epoch, |later| later.epoch)
    }

    /// The bundle with all that follows. Whether it holds is for a verifier to say.
    ///
    /// # Errors
    /// A path that does not fit.
    pub fn whole(&self) -> Result<Bundle, UnfitPath> {
        let chain_id = self.receipt.receipt.chain_id;
        let anchoring = self.anchoring()?;
        let (key, status) = (self.key(), self.status());
        let (state_root, key_proof, status_proof) = self.proofs(&key, &status)?;
        let (as_of, history) = match &self.as_of {
            Some(later) => (later.record(&anchoring, state_root)?, later.history.clone()),
            None => (anchoring.clone(), List::default()),
        };
        let rotations = self.rotations.iter().map(|short| short.certified(chain_id)).collect();
        Ok(Bundle {
            version: Version,
            chain_id,
            receipt: self.receipt.clone(),
            opening: self.opening.clone(),
            inclusion: ReceiptInclusion {
                epoch: anchoring,
                index: self.inclusion.index,
                path: self.inclusion.path.clone(),
            },
            certificate: Certificate { epoch: as_of.epoch, signature: self.certificate },
            as_of,
            history,
            key,
            key_proof,
            status,
            status_proof,
            // As many as there were, which is within the limit.
            rotations: List::new(rotations).unwrap_or_default(),
        })
    }

    fn anchoring(&self) -> Result<EpochRecord, UnfitPath> {
        let (short, receipt) = (&self.inclusion, &self.receipt.receipt);
        let (index, count) = (short.index, short.receipts_count);
        let siblings: Vec<SumNode> = short.path.iter().map(SumNode::from).collect();
        let unfit = UnfitPath::Inclusion { steps: siblings.len(), index, count };
        let root = merkle::climb(&receipt.leaf(), index, count, &siblings).ok_or(unfit)?;
        Ok(EpochRecord {
            version: Version,
            chain_id: receipt.chain_id,
            epoch: short.epoch,
            first_height: short.first_height,
            last_height: short.last_height,
            time_ms: short.time_ms,
            history_root: short.history_root,
            receipts_root: root.digest,
            receipts_count: count,
            receipts_sum: root.sum,
            verdicts_root: short.verdicts_root,
            state_root: short.state_root,
            challenge_window: short.challenge_window,
        })
    }

    /// The ledger anchors under no other record of the key.
    fn key(&self) -> KeyRecord {
        let receipt = &self.receipt.receipt;
        KeyRecord {
            key: receipt.worker_key,
            node: receipt.worker,
            role: Role::Worker,
            valid_from: receipt.key_valid_from,
            valid_until: self.key_valid_until,
        }
    }

    fn status(&self) -> ReceiptStatus {
        let (receipt, short) = (&self.receipt.receipt, &self.status);
        ReceiptStatus {
            receipt: receipt.id(),
            worker: receipt.worker,
            gateway: short.gateway,
            epoch: self.inclusion.epoch,
            index: self.inclusion.index,
            standing: short.standing,
            audits: short.audits,
            slashed: short.slashed,
        }
    }

    /// The root of the state, and the proofs of both records under it.
    fn proofs(&self, key: &KeyRecord, status: &ReceiptStatus) -> Result<(Digest, StateProof, StateProof), UnfitPath> {
        let leaf = |key, record: Vec<u8>| sparse::Leaf { key, value: sparse::value_digest(&record) };
        let key = leaf(state_key::signing_key(&key.key), key.encode());
        let status = leaf(state_key::receipt(&status.receipt), status.encode());
        let fork = Fork { first: self.key_path.to_vec(), second: self.status_path.to_vec() };
        let written = || {
            let (to_key, to_status) = fork.proofs(key, status)?;
            Some((to_key.root(&key.key), StateProof::new(&to_key)?, StateProof::new(&to_status)?))
        };
        written().ok_or(UnfitPath::State { key: self.key_path.len(), status: self.status_path.len() })
    }
}

impl LaterEpoch {
    fn record(&self, anchoring: &EpochRecord, state_root: Digest) -> Result<EpochRecord, UnfitPath> {
        let unfit = UnfitPath::History { steps: self.history.len(), epoch: anchoring.epoch, as_of: self.epoch };
        let history_root = history::climb(&anchoring.digest(), anchoring.epoch, self.epoch, &self.history);
        Ok(EpochRecord {
            version: Version,
            chain_id: anchoring.chain_id,
            epoch: self.epoch,
            first_height: self.first_height,
            last_height: self.last_height,
            time_ms: self.time_ms,
            history_root: history_root.ok_or(unfit)?,
            receipts_root: self.receipts_root,
            receipts_count: self.receipts_count,
            receipts_sum: self.receipts_sum,
            verdicts_root: self.verdicts_root,
            state_root,
            challenge_window: self.challenge_window,
        })
    }

    fn of(record: &EpochRecord, history: &List<Digest, 64>) -> Self {
        Self {
            epoch: record.epoch,
            first_height: record.first_height,
            last_height: record.last_height,
            time_ms: record.time_ms,
            receipts_root: record.receipts_root,
            receipts_count: record.receipts_count,
            receipts_sum: record.receipts_sum,
            verdicts_root: record.verdicts_root,
            challenge_window: record.challenge_window,
            history: history.clone(),
        }
    }
}

impl ShortRotation {
    fn certified(&self, chain_id: u64) -> CertifiedRotation {
        let rotation = KeyRotation { version: Version, chain_id, serial: self.serial, key: self.key };
        CertifiedRotation { rotation, signature: self.signature }
    }

    fn of(certified: &CertifiedRotation) -> Self {
        let KeyRotation { serial, key, .. } = certified.rotation;
        Self { serial, key, signature: certified.signature }
    }
}

impl ShortInclusion {
    /// What is left of an inclusion, without what the rest of the bundle says.
    pub fn of(inclusion: &ReceiptInclusion) -> Self {
        let record = &inclusion.epoch;
        Self {
            epoch: record.epoch,
            first_height: record.first_height,
            last_height: record.last_height,
            time_ms: record.time_ms,
            history_root: record.history_root,
            receipts_count: record.receipts_count,
            verdicts_root: record.verdicts_root,
            state_root: record.state_root,
            challenge_window: record.challenge_window,
            index: inclusion.index,
            path: inclusion.path.clone(),
        }
    }
}

impl Bundle {
    /// The same without what follows from the rest; `None` where the bundle says otherwise of something that would be left out.
    pub fn short(&self) -> Option<ShortBundle> {
        let (as_of, status) = (&self.as_of, &self.status);
        let is_one = self.inclusion.epoch.epoch == as_of.epoch;
        let fork = Fork::of(&self.key_proof.proof(), &self.status_proof.proof())?;
        let short = ShortBundle {
            version: Version,
            receipt: self.receipt.clone(),
            opening: self.opening.clone(),
            inclusion: ShortInclusion::of(&self.inclusion),
            as_of: (!is_one).then(|| LaterEpoch::of(as_of, &self.history)),
            certificate: self.certificate.signature,
            key_valid_until: self.key.valid_until,
            key_path: List::new(fork.first).ok()?,
            status: ShortStatus {
                gateway: status.gateway,
                standing: status.standing,
                audits: status.audits,
                slashed: status.slashed,
            },
            status_path: List::new(fork.second).ok()?,
            rotations: List::new(self.rotations.iter().map(ShortRotation::of).collect()).ok()?,
        };
        (short.whole().as_ref() == Ok(self)).then_some(short)
    }
}

/// A bundle in the version in which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrittenBundle {
    Whole(Box<Bundle>),
    Short(Box<ShortBundle>),
}

impl WrittenBundle {
    pub const fn version(&self) -> u16 {
        match self {
            Self::Whole(_) => 1,
            Self::Short(_) => 2,
        }
    }

    /// What both versions lead to, and what is checked.
    ///
    /// # Errors
    /// A path of a short bundle that does not fit.
    pub fn whole(self) -> Result<Bundle, UnfitPath> {
        match self {
            Self::Whole(bundle) => Ok(*bundle),
            Self::Short(short) => short.whole(),
        }
    }
}

/// Bytes and faces begin with their version; one that nobody knows is refused by the newest.
impl Canonical for WrittenBundle {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(bundle) => bundle.write(out),
            Self::Short(short) => short.write(out),
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.rest() {
            [0, 1, ..] => Canonical::read(reader).map(Self::Whole),
            _ => Canonical::read(reader).map(Self::Short),
        }
    }
    fn to_value(&self) -> Value {
        match self {
            Self::Whole(bundle) => bundle.to_value(),
            Self::Short(short) => short.to_value(),
        }
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let says_one = |(name, found): &(String, Value)| name == "version" && *found == Value::Number(1);
        match matches!(value, Value::Record(fields) if fields.iter().any(says_one)) {
            true => Canonical::from_value(value).map(Self::Whole),
            false => Canonical::from_value(value).map(Self::Short),
        }
    }
}
