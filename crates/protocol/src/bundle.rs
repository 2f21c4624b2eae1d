//! The bundle: a receipt with everything that a stranger needs to check it offline (`specs/bundle.md`).
//!
//! Here is the whole one, in which nothing is left out. It is what a verifier checks, and it is what version 1 writes; version 2 writes a
//! short one (`short_bundle`).

use crypto::{Digest, merkle::SumNode, sparse, threshold::GroupKey};

use crate::{
    Amount,
    bounded::{List, Text},
    canonical::Version,
    epoch::{Certificate, EpochRecord},
    nouns::record,
    receipt::{Opening, SignedReceipt},
    registry::{KeyRecord, ReceiptStatus},
    rotation::ROTATIONS_MAX,
    settlement::CertifiedRotation,
};

record! {
    /// A sibling in the tree over an epoch's receipts.
    SumStep { digest: Digest, sum: Amount, }
}

record! {
    /// Where the receipt lies in the tree of the epoch that anchored it.
    ReceiptInclusion {
        epoch: EpochRecord,
        index: u64,
        path: List<SumStep, 64>,
    }
}

record! {
    /// What stands at a key of the state, or in its place.
    StateLeaf { key: Digest, value: Digest, }
}

record! {
    /// A path through the state tree.
    StateProof {
        siblings: List<Digest, 256>,
        found: Option<StateLeaf>,
    }
}

record! {
    /// A receipt, and the proofs of where it stands as of one certified epoch; nothing is left out.
    Bundle in "og/bundle/v1" {
        version: Version<1>,
        chain_id: u64,
        receipt: SignedReceipt,
        /// The caller's own opening; absent where only the receipt is shown.
        opening: Option<Opening>,
        inclusion: ReceiptInclusion,
        /// The certified epoch that the following proofs speak about.
        as_of: EpochRecord,
        certificate: Certificate,
        /// Path of the anchoring epoch in the history of `as_of`; empty when they are the same epoch.
        history: List<Digest, 64>,
        key: KeyRecord,
        key_proof: StateProof,
        status: ReceiptStatus,
        status_proof: StateProof,
        /// The newest rotations of the network's key up to that epoch, oldest first: for who pinned a key before the one that certified it.
        rotations: List<CertifiedRotation, ROTATIONS_MAX>,
    }
}

record! {
    /// What a verifier pins, from outside: never taken from a bundle.
    Trust {
        version: Version<1>,
        network: Text<64>,
        chain_id: u64,
        network_key: GroupKey,
    }
}

impl From<&SumNode> for SumStep {
    fn from(node: &SumNode) -> Self {
        Self { digest: node.digest, sum: node.sum }
    }
}

impl From<&SumStep> for SumNode {
    fn from(step: &SumStep) -> Self {
        Self { digest: step.digest, sum: step.sum }
    }
}

impl StateProof {
    /// The proof as the wire carries it; `None` if it is longer than a key has bits.
    pub fn new(proof: &sparse::Proof) -> Option<Self> {
        let found = proof.found.map(|leaf| StateLeaf { key: leaf.key, value: leaf.value });
        Some(Self { siblings: List::new(proof.siblings.clone()).ok()?, found })
    }

    /// True only if, under `root`, `key` holds exactly the bytes `value`, or nothing.
    pub fn holds(&self, root: &Digest, key: &Digest, value: Option<&[u8]>) -> bool {
        self.proof().holds(root, key, value.map(sparse::value_digest).as_ref())
    }

    pub(crate) fn proof(&self) -> sparse::Proof {
        let found = self.found.as_ref().map(|leaf| sparse::Leaf { key: leaf.key, value: leaf.value });
        sparse::Proof { siblings: self.siblings.to_vec(), found }
    }
}
