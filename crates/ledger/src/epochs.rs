//! The closed epochs: their records, receipts and verdicts, and which receipt is anchored under each worker's number.
//!
//! Only ever appended to. The newest epochs are held; the others are read from the base, if there is one: without, all are held.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crypto::history::History;
use pages::PageError;
use protocol::{Amount, Digest, EpochRecord, NodeId, Noun as _, SignedReceipt, record, service::VerdictRecord};

use crate::{base::Base, closed::ClosedEpoch};

/// Of epochs that the base has, what is kept in memory: most of what the challenge window asks for.
const KEPT_BYTES: usize = 48 << 20;
/// About what a worker's number takes in memory.
const SEQUENCE_BYTES: usize = 112;

/// Epochs whose records are told in one go.
pub const EPOCHS_A_GROUP: usize = 1 << GROUP_HEIGHT;
pub(crate) const GROUP_HEIGHT: usize = 12;

record! {
    /// The greatest number under which a worker has a receipt anchored, which one that is, and how many numbers have one.
    NewestReceipt { worker: NodeId, number: u64, receipt: Digest, numbers: u64, }
}

impl NewestReceipt {
    /// With one more number that has a receipt.
    pub fn after(old: Option<&Self>, worker: NodeId, number: u64, receipt: Digest) -> Self {
        let numbers = old.map_or(0, |old| old.numbers).saturating_add(1);
        let (number, receipt) = match old.filter(|old| old.number > number) {
            Some(old) => (old.number, old.receipt),
            None => (number, receipt),
        };
        Self { worker, number, receipt, numbers }
    }

    /// Whether every number up to the greatest has a receipt: one that is found nowhere is lost then.
    fn has_all(&self) -> bool {
        self.numbers > self.number
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Epochs {
    pub history: History,
    last: Option<EpochRecord>,
    /// The newest, oldest first.
    held: VecDeque<Arc<ClosedEpoch>>,
    /// About what they take in memory.
    held_bytes: usize,
    /// Receipts of closed epochs.
    pub receipts: u64,
    /// Which receipt has a worker's number, by the epoch that anchored it, where the base has not: what the base has goes an epoch at once.
    sequences: BTreeMap<u64, BTreeMap<(NodeId, u64), Digest>>,
    newest: BTreeMap<NodeId, NewestReceipt>,
    /// Those of them that changed since the last close, as they were.
    before: BTreeMap<NodeId, Option<NewestReceipt>>,
    base: Option<Base>,
}

/// A closed epoch where it is: to be read without whoever knows of it.
#[derive(Clone, Debug)]
pub(crate) enum EpochAt {
    Held(Arc<ClosedEpoch>),
    /// With what the history has of its record.
    OnDisk {
        base: Base,
        epoch: u64,
        committed: Digest,
    },
}

impl EpochAt {
    /// The same for whoever only asks, see `pages::Base::aside`.
    pub fn aside(self) -> Self {
        match self {
            Self::Held(closed) => Self::Held(closed),
            Self::OnDisk { base, epoch, committed } => Self::OnDisk { base: base.aside(), epoch, committed },
        }
    }

    pub fn record(&self) -> Result<EpochRecord, PageError> {
        match self {
            Self::Held(closed) => Ok(closed.record.clone()),
            Self::OnDisk { base, epoch, committed } => {
                let record = base.record(*epoch)?;
                let mut alone = History::default();
                alone.append(&record.digest());
                if alone.root() == *committed {
                    return Ok(record);
                }
                base.pages.failed(&format!(": the record of epoch {epoch} is another"))
            }
        }
    }

    pub fn closed(&self) -> Result<Arc<ClosedEpoch>, PageError> {
        match self {
            Self::Held(closed) => Ok(Arc::clone(closed)),
            Self::OnDisk { base, .. } => base.closed(self.record()?).map(Arc::new),
        }
    }

    pub fn leaves(&self) -> Result<Vec<(Digest, Amount)>, PageError> {
        match self {
            Self::Held(closed) => Ok(closed.leaves.clone()),
            Self::OnDisk { base, .. } => base.leaves(&self.record()?),
        }
    }

    pub fn verdicts(&self) -> Result<Vec<VerdictRecord>, PageError> {
        match self {
            Self::Held(closed) => Ok(closed.verdicts.clone()),
            Self::OnDisk { base, .. } => base.verdicts(&self.record()?),
        }
    }

    /// The receipt at a place, which has this id.
    pub fn receipt(&self, index: u64, id: &Digest) -> Result<Arc<SignedReceipt>, PageError> {
        match self {
            Self::Held(closed) => {
                let found = usize::try_from(index).ok().and_then(|index| closed.receipts.get(index));
                found.cloned().ok_or_else(|| PageError(format!("epoch {} has no receipt {index}", closed.record.epoch)))
            }
            Self::OnDisk { base, epoch, .. } => base.receipt(*epoch, index, id),
        }
    }
}

impl Epochs {
    /// Closed so far.
    pub fn count(&self) -> u64 {
        self.history.count()
    }

    /// The newest closed epoch's record.
    pub fn newest(&self) -> Option<&EpochRecord> {
        self.last.as_ref()
    }

    fn place(&self, epoch: u64) -> Option<usize> {
        let behind = self.count().checked_sub(epoch)?;
        self.held.len().checked_sub(usize::try_from(behind).ok()?).filter(|_| behind > 0)
    }

    fn held(&self, epoch: u64) -> Option<&Arc<ClosedEpoch>> {
        self.held.get(self.place(epoch)?)
    }

    /// Where a closed epoch is; `None` where it is not closed. A failure to read it is the base's to remember: whoever keeps it stops.
    pub fn at(&self, epoch: u64) -> Option<EpochAt> {
        if let Some(closed) = self.held(epoch) {
            return Some(EpochAt::Held(Arc::clone(closed)));
        }
        let base = self.base.as_ref().filter(|base| epoch < base.epochs)?.clone();
        let committed = self.history.subtrees(0).get(usize::try_from(epoch).ok()?).copied()?;
        Some(EpochAt::OnDisk { base, epoch, committed })
    }

    /// What commits to each whole group of records.
    pub fn groups(&self) -> &[Digest] {
        self.history.subtrees(GROUP_HEIGHT)
    }

    /// Records behind the last whole group, up to the newest.
    pub fn tail(&self) -> Vec<EpochRecord> {
        let whole = self.count().saturating_sub(1) >> GROUP_HEIGHT << GROUP_HEIGHT;
        (whole..self.count()).filter_map(|epoch| self.record(epoch)).collect()
    }

    pub fn record(&self, epoch: u64) -> Option<EpochRecord> {
        self.at(epoch)?.record().ok()
    }

    /// All of an epoch.
    pub fn closed(&self, epoch: u64) -> Option<Arc<ClosedEpoch>> {
        self.at(epoch)?.closed().ok()
    }

    /// Ids and charges of an epoch's receipts, in the order of its tree.
    pub fn leaves(&self, epoch: u64) -> Option<Vec<(Digest, Amount)>> {
        self.at(epoch)?.leaves().ok()
    }

    pub fn verdicts(&self, epoch: u64) -> Option<Vec<VerdictRecord>> {
        self.at(epoch)?.verdicts().ok()
    }

    /// Which receipt is anchored under a worker's number, in the open epoch too.
    pub fn sequence(&self, worker: &NodeId, number: u64) -> Option<Digest> {
        // What follows one after the other is never looked for on the disk.
        let newest = self.newest.get(worker).filter(|newest| number <= newest.number)?;
        if number == newest.number {
            return Some(newest.receipt);
        }
        match self.sequences.values().rev().find_map(|numbers| numbers.get(&(*worker, number))) {
            Some(id) => Some(*id),
            None => self.base.as_ref()?.sequence(worker, number, newest.has_all()).ok()?,
        }
    }

    /// Whether a worker has a receipt under a greater number.
    pub fn is_late(&self, worker: &NodeId, number: u64) -> bool {
        self.newest.get(worker).is_some_and(|newest| number < newest.number)
    }

    /// A receipt with this number is anchored, and none is found under it. Only a base can have lost it, and remembers that.
    pub fn lost(&self, worker: &NodeId, number: u64) {
        if let Some(base) = &self.base {
            let _: Result<(), PageError> = base.lost(worker, number);
        }
    }

    /// A receipt of the open epoch takes its number.
    pub fn number(&mut self, worker: NodeId, number: u64, receipt: Digest) {
        let epoch = self.count();
        self.sequences.entry(epoch).or_default().insert((worker, number), receipt);
        let old = self.newest.get(&worker).cloned();
        self.newest.insert(worker, NewestReceipt::after(old.as_ref(), worker, number, receipt));
        self.before.entry(worker).or_insert(old);
    }

    pub fn push(&mut self, closed: ClosedEpoch) {
        self.history.append(&closed.record.digest());
        self.receipts = self.receipts.saturating_add(closed.record.receipts_count);
        self.last = Some(closed.record.clone());
        self.held_bytes = self.held_bytes.saturating_add(closed.bytes());
        self.held.push_back(Arc::new(closed));
        self.before.clear();
        self.trim();
    }

    /// Workers with receipts, as of the last close, in order.
    pub fn newest_at_close(&self) -> Vec<&NewestReceipt> {
        let now = self.newest.iter().map(|(worker, newest)| match self.before.get(worker) {
            Some(before) => before.as_ref(),
            None => Some(newest),
        });
        now.flatten().collect()
    }

    /// The epochs that no base has.
    pub fn unwritten(&self) -> Vec<Arc<ClosedEpoch>> {
        let written = self.written();
        self.held.iter().filter(|closed| closed.record.epoch >= written).cloned().collect()
    }

    fn written(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.epochs)
    }

    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// About how many bytes no base has.
    pub fn unwritten_bytes(&self) -> usize {
        let written = self.written();
        let newest = self.held.iter().rev().take_while(|closed| closed.record.epoch >= written);
        let sequences = self.sequences.values().fold(0_usize, |sum, numbers| sum.saturating_add(numbers.len()));
        newest.fold(sequences.saturating_mul(SEQUENCE_BYTES), |sum, closed| sum.saturating_add(closed.bytes()))
    }

    /// Lets go of what lies in `base`, unless more lies in the one that it has.
    pub fn rest_on(&mut self, base: &Base) {
        if base.epochs < self.written() {
            return;
        }
        self.sequences = self.sequences.split_off(&base.epochs);
        self.base = Some(base.clone());
        self.trim();
    }

    /// Of what the base has, keeps the newest; the newest of all in any case.
    fn trim(&mut self) {
        let written = self.written();
        while self.held_bytes > KEPT_BYTES
            && self.held.len() > 1
            && let Some(oldest) = self.held.pop_front_if(|oldest| oldest.record.epoch < written)
        {
            self.held_bytes = self.held_bytes.saturating_sub(oldest.bytes());
        }
    }

    /// As they were when this was kept, with the record of the last of them: `held` are the newest of `history`, the others are in `base`.
    /// `None` where workers are not in order.
    pub fn kept(
        (history, last): (History, EpochRecord),
        held: Vec<Arc<ClosedEpoch>>,
        (receipts, newest): (u64, Vec<NewestReceipt>),
        base: Option<Base>,
    ) -> Option<Self> {
        let sorted = newest.windows(2).all(|pair| matches!(pair, [low, high] if low.worker < high.worker));
        let numbers = |closed: &Arc<ClosedEpoch>| {
            let ids = closed.receipts.iter().zip(&closed.leaves);
            let number = |(signed, (id, _)): (&Arc<SignedReceipt>, &(Digest, Amount))| {
                ((signed.receipt.worker, signed.receipt.sequence), *id)
            };
            (closed.record.epoch, ids.map(number).collect::<BTreeMap<_, _>>())
        };
        let sequences = held.iter().map(numbers).collect::<BTreeMap<_, _>>();
        let newest = newest.into_iter().map(|newest| (newest.worker, newest)).collect();
        let held_bytes = held.iter().fold(0_usize, |sum, closed| sum.saturating_add(closed.bytes()));
        let (held, last, before) = (held.into(), Some(last), BTreeMap::new());
        let epochs = Self { history, last, held, held_bytes, receipts, sequences, newest, before, base };
        sorted.then_some(epochs)
    }
}
