//! Epochs that arrive from others, each checked against its record as soon as all of it is there, and each record as one of a group that is
//! believed for other reasons.
//!
//! Whoever sends pieces of an epoch can only send what its record commits to, or nothing that counts; and every receipt has to be signed.

use std::{collections::BTreeMap, sync::Arc};

use crypto::{Claim, history::History};
use pages::{PageError, Row, Tree};
use protocol::{
    Canonical as _, Digest, EpochRecord, NodeId, Noun as _, ReceiptStatus, SignedReceipt, registry::state_key,
    service::VerdictRecord,
};

use crate::{
    base::{
        Base, EPOCHS, RECEIPTS, RECEIPTS_A_PIECE, ReceiptPiece, VERDICTS, VERDICTS_A_PIECE, VerdictPiece, piece_key,
        piece_of, read_piece, rows_of,
    },
    closed::{ClosedEpoch, commits_to, verdicts_root},
    epochs::EPOCHS_A_GROUP,
    leaf::Leaf,
    ledger::Ledger,
};

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
}

impl ArrivingEpoch {
    /// The epoch with this record, which is believed.
    pub fn new(record: EpochRecord) -> Self {
        Self { record, receipts: Vec::new(), verdicts: Vec::new() }
    }

    /// Key of the row that comes next; `None` when all are there.
    pub fn wanted(&self) -> Option<Vec<u8>> {
        let epoch = self.record.epoch;
        if self.missing() > 0 {
            return Some(piece_key(epoch, RECEIPTS, piece_of(self.receipts.len(), RECEIPTS_A_PIECE)));
        }
        let is_whole = verdicts_root(&self.verdicts) == self.record.verdicts_root;
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
        let is_last = piece.verdicts.len() < VERDICTS_A_PIECE;
        self.verdicts.extend(piece.verdicts.into_inner());
        if is_last && verdicts_root(&self.verdicts) != self.record.verdicts_root {
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

/// What came so far of a ledger whose tree is there: that receipts and tree fit together.
#[derive(Debug)]
pub struct Arrival {
    tree: Tree<Leaf>,
    newest: BTreeMap<NodeId, (u64, Digest)>,
}

impl Arrival {
    /// Beside the tree that lies in `base`.
    pub fn new(base: &Base) -> Result<Self, PageError> {
        Ok(Self { tree: Tree::open(base.pages.clone())?, newest: BTreeMap::new() })
    }

    /// An epoch that lies in `base` already, whole: its rows once more. `None` where it does not.
    pub fn find(&mut self, base: &Base, record: &EpochRecord) -> Option<Vec<Row>> {
        let closed = base.closed(record.clone()).ok()?;
        self.count(&closed).ok()?;
        let mut rows = Vec::new();
        rows_of(&closed, &mut rows);
        Some(rows)
    }

    fn count(&mut self, closed: &ClosedEpoch) -> Result<(), PageError> {
        let epoch = closed.record.epoch;
        for (index, (signed, (id, _))) in (0_u64..).zip(closed.receipts.iter().zip(&closed.leaves)) {
            let leaf = self.tree.find(&state_key::receipt(id))?;
            let status = leaf.and_then(|leaf| ReceiptStatus::decode(leaf.row_bytes()).ok());
            if status.is_none_or(|status| (status.epoch, status.index) != (epoch, index)) {
                return Err(PageError(format!("epoch {epoch}: the state has no receipt {id} at this place")));
            }
            let receipt = &signed.receipt;
            let newest = self.newest.entry(receipt.worker).or_insert((receipt.sequence, *id));
            if receipt.sequence > newest.0 {
                *newest = (receipt.sequence, *id);
            }
        }
        Ok(())
    }

    /// Whether a restored ledger says of workers what all its receipts say.
    pub fn is_of(&self, ledger: &Ledger) -> bool {
        let told = ledger.present.state.epochs.newest_at_close();
        let told = told.into_iter().map(|newest| (newest.worker, (newest.number, newest.receipt)));
        told.eq(self.newest.iter().map(|(worker, newest)| (*worker, *newest)))
    }
}
