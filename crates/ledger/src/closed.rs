//! A closed epoch with what its record commits to.

use std::sync::Arc;

use crypto::merkle::{self, SumNode};
use protocol::{Amount, Digest, EpochRecord, Noun as _, SignedReceipt, service::VerdictRecord};

/// About what a receipt takes in memory, and an epoch without its receipts.
pub(crate) const RECEIPT_BYTES: usize = 1_024;
const EPOCH_BYTES: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClosedEpoch {
    pub(crate) record: EpochRecord,
    /// Ids and charges in the order of the tree.
    pub(crate) leaves: Vec<(Digest, Amount)>,
    pub(crate) receipts: Vec<Arc<SignedReceipt>>,
    pub(crate) verdicts: Vec<VerdictRecord>,
}

impl ClosedEpoch {
    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let (receipts, verdicts) = (self.receipts.len().saturating_mul(RECEIPT_BYTES), self.verdicts.len());
        EPOCH_BYTES.saturating_add(receipts).saturating_add(verdicts.saturating_mul(size_of::<VerdictRecord>()))
    }
}

/// Whether these are the receipts of an epoch: ids with charges, in order.
pub(crate) fn commits_to(record: &EpochRecord, leaves: &[(Digest, Amount)]) -> bool {
    let count = u64::try_from(leaves.len());
    let nodes: Vec<_> = leaves.iter().map(|(id, charge)| SumNode::leaf(id, *charge)).collect();
    let root = sum_root(&nodes);
    (root.digest, root.sum, count) == (record.receipts_root, record.receipts_sum, Ok(record.receipts_count))
}

/// Root over the verdicts of an epoch: the same tree as over receipts, with amounts of zero.
pub(crate) fn verdicts_root(verdicts: &[VerdictRecord]) -> Digest {
    let leaves: Vec<_> = verdicts.iter().map(verdict_leaf).collect();
    sum_root(&leaves).digest
}

pub(crate) fn verdict_leaf(verdict: &VerdictRecord) -> SumNode {
    SumNode::leaf(&verdict.digest(), 0)
}

/// Root over leaves whose sum was bounded as they came in, so that there always is one.
pub(crate) fn sum_root(leaves: &[SumNode]) -> SumNode {
    merkle::root(leaves).unwrap_or(SumNode { digest: Digest::ZERO, sum: u128::MAX })
}
