//! The closed epochs: their records, what their trees hold, and enough of the past to prove what stood in a recent one.
//!
//! Only ever appended to. The authenticated tree of each recent epoch is kept (they share what did not change), and
//! beside it the values that the epoch replaced, so that a value as of an earlier close is found by going back.

use std::collections::{BTreeMap, VecDeque};

use crypto::{
    history::History,
    merkle::{self, SumNode},
    sparse::{Tree, value_digest},
};
use protocol::{Digest, EpochRecord, Noun as _, service::VerdictRecord};

use crate::table::Change;

/// How many closed epochs can be proven as of: a certificate that comes later than this comes too late.
pub const RECENT_EPOCHS: usize = 128;

#[derive(Clone, Debug)]
pub(crate) struct ClosedEpoch {
    pub record: EpochRecord,
    /// Ids in the order of the tree.
    pub receipts: Vec<Digest>,
    pub verdicts: Vec<VerdictRecord>,
}

/// What an epoch replaced, by state key.
pub(crate) type Undo = BTreeMap<Digest, Option<Vec<u8>>>;

#[derive(Clone, Debug)]
pub(crate) struct Recent {
    pub tree: Tree,
    /// Empty in the oldest: nothing older can be proven.
    pub undo: Undo,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    pub epochs: Vec<ClosedEpoch>,
    pub history: History,
    /// The newest epochs, oldest first.
    pub recent: VecDeque<Recent>,
}

impl Archive {
    pub fn epoch(&self, epoch: u64) -> Option<&ClosedEpoch> {
        self.epochs.get(usize::try_from(epoch).ok()?)
    }

    /// The state's tree after the newest closed epoch.
    pub fn tree(&self) -> Tree {
        self.recent.back().map(|recent| recent.tree.clone()).unwrap_or_default()
    }

    /// The tree after `changes` to the newest closed epoch's.
    pub fn next_tree(&self, changes: &BTreeMap<Digest, Change>) -> Tree {
        let digest = |(key, change): (&Digest, &Change)| (*key, change.after.as_deref().map(value_digest));
        self.tree().with_all(&changes.iter().map(digest).collect::<Vec<_>>())
    }

    pub fn push(&mut self, closed: ClosedEpoch, tree: Tree, changes: BTreeMap<Digest, Change>) {
        self.history.append(&closed.record.digest());
        self.epochs.push(closed);
        let undo = changes.into_iter().map(|(key, change)| (key, change.before)).collect();
        self.recent.push_back(Recent { tree, undo });
        if self.recent.len() > RECENT_EPOCHS {
            self.recent.pop_front();
        }
        if let Some(oldest) = self.recent.front_mut() {
            oldest.undo.clear();
        }
    }

    /// Place of `epoch` among the recent ones; `None` where it is too old, or not closed.
    fn place(&self, epoch: u64) -> Option<usize> {
        let newer = self.epochs.len().checked_sub(1)?.checked_sub(usize::try_from(epoch).ok()?)?;
        self.recent.len().checked_sub(1)?.checked_sub(newer)
    }

    /// The state's tree as of the end of a recent epoch.
    pub fn tree_as_of(&self, epoch: u64) -> Option<&Tree> {
        self.recent.get(self.place(epoch)?).map(|recent| &recent.tree)
    }

    /// What stood at `key` at the end of a recent epoch, if anything changed there since; `None` if nothing did.
    pub fn replaced_since(&self, epoch: u64, key: &Digest) -> Option<Option<&[u8]>> {
        let later = self.place(epoch)?.checked_add(1)?;
        let undo = self.recent.iter().skip(later).find_map(|recent| recent.undo.get(key))?;
        Some(undo.as_deref())
    }
}

/// Root over the verdicts of an epoch: the same tree as over receipts, with amounts of zero.
pub(crate) fn verdicts_root(verdicts: &[VerdictRecord]) -> Digest {
    let leaves: Vec<_> = verdicts.iter().map(|verdict| SumNode::leaf(&verdict.digest(), 0)).collect();
    sum_root(&leaves).digest
}

/// Root over leaves whose sum was bounded as they came in, so that there always is one.
pub(crate) fn sum_root(leaves: &[SumNode]) -> SumNode {
    merkle::root(leaves).unwrap_or(SumNode { digest: Digest::ZERO, sum: u128::MAX })
}
