//! Epochs that arrive from others, each checked against its record as soon as all of it is there, and each record as one of a group that is
//! believed for other reasons.
//!
//! Whoever sends pieces of an epoch can only send what its record commits to, or nothing that counts; and every receipt has to be signed.

use std::{collections::BTreeMap, sync::Arc};

use crypto::{Claim, history::History, merkle::SumNode};
use pages::{PageError, Row};
use protocol::{Canonical as _, Digest, EpochRecord, NodeId, Noun as _, SignedReceipt, service::VerdictRecord};

use crate::{
    base::{
        Base, EPOCHS, RECEIPTS, RECEIPTS_A_PIECE, ReceiptPiece, VERDICTS, VERDICTS_A_PIECE, VerdictPiece, number_rows,
        piece_key, piece_of, read_piece, rows_of,
    },
    closed::{ClosedEpoch, commits_to, sum_root, verdict_leaf},
    epochs::{EPOCHS_A_GROUP, GROUP_HEIGHT, NewestReceipt},
    ledger::Ledger,
};

/// Most pieces of one epoch's verdicts: more than a second's blocks could have room for. Their number is in no record.
const VERDICT_PIECES_MAX: usize = 1_024;

/// Rows of the records of a whole group, which begins at epoch `first`, if the group is what `digest` commits to.
pub fn group_rows(first: u64, records: &[EpochRecord], digest: &Digest) -> Result<Vec<Row>, PageError> {
    let mut history = History::default();
    records.iter().for_each(|record| history.append(&record.digest()));
    let in_place = (first..).zip(records).all(|(epoch, record)| record.epoch == epoch);
    if records.len() != EPOCHS_A_GROUP || history.root() != *digest || !in_place {
        return Err(PageError(format!("these are not the records from epoch {first} on")));
    }
    Ok(records.iter().map(record_row).collect())
}

fn record_row(record: &EpochRecord) -> Row {
    Row { table: EPOCHS, key: record.epoch.to_be_bytes().to_vec(), value: Some(record.encode()) }
}

/// An epoch on its way.
#[derive(Debug)]
pub struct ArrivingEpoch {
    record: EpochRecord,
    receipts: Vec<Arc<SignedReceipt>>,
    verdicts: Vec<VerdictRecord>,
    /// Roots of their pieces, which are whole subtrees but for the last, and the root over them.
    pieces: Vec<SumNode>,
    verdicts_root: Digest,
}

impl ArrivingEpoch {
    /// The epoch with this record, which is believed.
    pub fn new(record: EpochRecord) -> Self {
        let verdicts_root = sum_root(&[]).digest;
        Self { record, receipts: Vec::new(), verdicts: Vec::new(), pieces: Vec::new(), verdicts_root }
    }

    /// Key of the row that comes next; `None` when all are there.
    pub fn wanted(&self) -> Option<Vec<u8>> {
        let epoch = self.record.epoch;
        if self.missing() > 0 {
            return Some(piece_key(epoch, RECEIPTS, piece_of(self.receipts.len(), RECEIPTS_A_PIECE)));
        }
        let is_whole = self.verdicts_root == self.record.verdicts_root;
        (!is_whole).then(|| piece_key(epoch, VERDICTS, piece_of(self.verdicts.len(), VERDICTS_A_PIECE)))
    }

    fn missing(&self) -> usize {
        usize::try_from(self.record.receipts_count).unwrap_or(usize::MAX).saturating_sub(self.receipts.len())
    }

    /// Takes the row that is wanted.
    pub fn take(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), PageError> {
        let wanted = self.wanted();
        if wanted.as_deref() != Some(key) {
            return Err(self.is_false("a piece came that was not wanted"));
        }
        let missing = self.missing();
        if missing > 0 {
            let piece: ReceiptPiece =
                read_piece(key, bytes).ok_or_else(|| self.is_false("what came is no piece of receipts"))?;
            if piece.receipts.len() != missing.min(RECEIPTS_A_PIECE) {
                return Err(self.is_false("a piece has more or fewer receipts than it should"));
            }
            self.receipts.extend(piece.receipts.into_inner().into_iter().map(Arc::new));
            return Ok(());
        }
        let piece: VerdictPiece =
            read_piece(key, bytes).ok_or_else(|| self.is_false("what came is no piece of verdicts"))?;
        let leaves: Vec<_> = piece.verdicts.iter().map(verdict_leaf).collect();
        self.pieces.push(sum_root(&leaves));
        self.verdicts_root = sum_root(&self.pieces).digest;
        self.verdicts.extend(piece.verdicts.into_inner());
        let is_last = leaves.len() < VERDICTS_A_PIECE || self.pieces.len() >= VERDICT_PIECES_MAX;
        if is_last && self.verdicts_root != self.record.verdicts_root {
            return Err(self.is_false("the verdicts are others than the record commits to"));
        }
        Ok(())
    }

    fn is_false(&self, what: &str) -> PageError {
        PageError(format!("epoch {}: {what}", self.record.epoch))
    }

    /// The rows of an epoch of which all has come; `arrival` counts it.
    pub fn finish(self, arrival: &mut Arrival) -> Result<Vec<Row>, PageError> {
        let leaves: Vec<_> = self.receipts.iter().map(|signed| (signed.receipt.id(), signed.receipt.charge)).collect();
        if self.wanted().is_some() || !commits_to(&self.record, &leaves) {
            return Err(self.is_false("the receipts are others than the record commits to"));
        }
        let claims: Vec<Claim> = self.receipts.iter().map(|signed| signed.claim()).collect();
        if Claim::all(&claims).contains(&false) {
            return Err(self.is_false("a receipt in it is not signed"));
        }
        let closed = ClosedEpoch { record: self.record, leaves, receipts: self.receipts, verdicts: self.verdicts };
        arrival.count(&closed)?;
        let mut rows = Vec::new();
        rows_of(&closed, &mut rows);
        Ok(rows)
    }
}

/// The epochs that came so far, of whichever offers: one that came is the one with its record, whoever names that.
///
/// That the ledger's tree has these receipts at these places is not looked at: the record that the network certifies commits to both.
#[derive(Debug, Default)]
pub struct Arrival {
    history: History,
    newest: BTreeMap<NodeId, NewestReceipt>,
}

impl Arrival {
    /// Whether all of an epoch came, with this record.
    pub fn has(&self, record: &EpochRecord) -> bool {
        self.history.has(record.epoch, &record.digest())
    }

    /// Whether all epochs of a group came, with the records that this commits to.
    pub fn has_group(&self, group: usize, digest: &Digest) -> bool {
        self.history.subtrees(GROUP_HEIGHT).get(group) == Some(digest)
    }

    /// Whether what came is the beginning of a history with this epoch in it that did not come.
    pub fn goes_on_with(&self, record: &EpochRecord) -> bool {
        record.epoch == self.history.count()
    }

    /// An epoch that lies in `base` already, whole: the rows of its numbers, which are made anew. `None` where it does not.
    pub fn find(&mut self, base: &Base, record: &EpochRecord) -> Option<Vec<Row>> {
        let closed = base.closed(record.clone()).ok()?;
        self.count(&closed).ok()?;
        let mut rows = Vec::new();
        number_rows(&closed, &mut rows);
        Some(rows)
    }

    fn count(&mut self, closed: &ClosedEpoch) -> Result<(), PageError> {
        if !self.goes_on_with(&closed.record) {
            return Err(PageError(format!("epoch {} came out of order", closed.record.epoch)));
        }
        self.history.append(&closed.record.digest());
        for (signed, (id, _)) in closed.receipts.iter().zip(&closed.leaves) {
            let (worker, number) = (signed.receipt.worker, signed.receipt.sequence);
            let newest = NewestReceipt::after(self.newest.get(&worker), worker, number, *id);
            self.newest.insert(worker, newest);
        }
        Ok(())
    }

    /// Whether a restored ledger says of workers what all its receipts say.
    pub fn is_of(&self, ledger: &Ledger) -> bool {
        ledger.present.state.epochs.newest_at_close().into_iter().eq(self.newest.values())
    }
}
