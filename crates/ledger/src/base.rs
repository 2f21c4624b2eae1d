//! The ledger's own tables on a disk, as of one moment, behind caches that are bounded in bytes (`specs/ledger.md`, *On disk*).
//!
//! The disk comes in as a function that reads a table. What it gives of an epoch is believed only if it is what the epoch's record commits
//! to, and a record only by its digest in the history.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crypto::hash;
use pages::{PageError, Reader, Recent, Row};
use protocol::{Amount, Canonical, Digest, EpochRecord, List, NodeId, SignedReceipt, record, service::VerdictRecord};

use crate::{
    closed::{ClosedEpoch, RECEIPT_BYTES, commits_to, verdicts_root},
    content::write_list,
    leaf::Leaf,
};

/// Records by their epochs.
pub const EPOCHS: &str = "ledger-epochs";
/// By epoch and piece: ids and charges.
const LEAVES: &str = "ledger-leaves";
/// By epoch, kind and piece: whole receipts, then verdicts.
pub const PIECES: &str = "ledger-pieces";
/// By worker and number: the epoch that has receipts under it and others of its run, which ones, and a checksum.
pub const SEQUENCES: &str = "ledger-sequences";

/// Pages of its tree.
pub const ROW_PAGES: &str = <Leaf as pages::Leaf>::PAGES;

/// Tables that the ledger's own state is kept in.
pub const TABLES: &[&str] = &[<Leaf as pages::Leaf>::ROOTS, ROW_PAGES, EPOCHS, LEAVES, PIECES, SEQUENCES];

/// Of one row.
const LEAVES_A_PIECE: usize = 1_024;
pub(crate) const VERDICTS_A_PIECE: usize = 1_024;
pub(crate) const RECEIPTS_A_PIECE: usize = 32;
/// Kinds of pieces.
pub(crate) const RECEIPTS: u8 = 1;
pub(crate) const VERDICTS: u8 = 2;
const LEAF_BYTES: usize = 48;
const CHECK_BYTES: usize = 8;
/// What an epoch has of a worker's numbers lies in one row as far as they are equal but for so many lowest bits: a row costs far more than
/// what is in it, and who looks for a number that is free asks for all rows of its run.
const RUN_HEIGHT: usize = 3;
/// How far behind the first, and the receipt's id.
const NUMBER_BYTES: usize = 33;

record! {
    /// Some of an epoch's receipts.
    ReceiptPiece { receipts: List<SignedReceipt, RECEIPTS_A_PIECE>, }
}
record! {
    /// Some of an epoch's verdicts.
    VerdictPiece { verdicts: List<VerdictRecord, VERDICTS_A_PIECE>, }
}

type Piece = Arc<Vec<Arc<SignedReceipt>>>;

/// What was read lately. Clones share it.
#[derive(Clone)]
pub struct Cache {
    pages: pages::Cache<Leaf>,
    receipts: Arc<Mutex<Recent<(u64, u32), Piece>>>,
}

/// The tables.
#[derive(Clone)]
pub struct Base {
    pub(crate) pages: pages::Base<Leaf>,
    cache: Cache,
    /// Closed epochs that are in it.
    pub(crate) epochs: u64,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("epochs", &self.epochs).finish_non_exhaustive()
    }
}

impl Cache {
    /// Of at most about so many bytes.
    pub fn new(bytes: usize) -> Self {
        let receipts = Arc::new(Mutex::new(Recent::new(bytes >> 3)));
        let half = bytes >> 1;
        Self { pages: pages::Cache::new(half.saturating_add(half >> 1)), receipts }
    }

    /// The first thing that could not be read: what was executed since means nothing.
    pub fn failure(&self) -> Option<&PageError> {
        self.pages.failure()
    }
}

impl Base {
    pub fn new(reader: Reader, cache: Cache) -> Self {
        Self { pages: pages::Base::new(reader, cache.pages.clone()), cache, epochs: 0 }
    }

    /// The same for whoever only asks, see `pages::Base::aside`.
    pub(crate) fn aside(&self) -> Self {
        Self { pages: self.pages.aside(), ..self.clone() }
    }

    /// The same, of which it is known how many epochs are in it.
    pub(crate) fn with(self, epochs: u64) -> Self {
        Self { epochs, ..self }
    }

    /// The same, written with so many epochs.
    pub(crate) fn after(self, pages: pages::Base<Leaf>, epochs: u64) -> Self {
        Self { pages, epochs, ..self }
    }

    fn row(&self, table: &'static str, key: &[u8], what: impl FnOnce() -> String) -> Result<Vec<u8>, PageError> {
        match self.pages.read(table, key)? {
            Some(bytes) => Ok(bytes),
            None => self.pages.failed(&format!(": {} is missing", what())),
        }
    }

    fn is_another<T>(&self, what: &str, epoch: u64) -> Result<T, PageError> {
        self.pages.failed(&format!(": {what} of epoch {epoch} are others than its record commits to"))
    }

    /// The record of an epoch; that it is the right one, its digest says.
    pub(crate) fn record(&self, epoch: u64) -> Result<EpochRecord, PageError> {
        let bytes = self.row(EPOCHS, &epoch.to_be_bytes(), || format!("epoch {epoch}"))?;
        match EpochRecord::decode(&bytes) {
            Ok(record) if record.epoch == epoch => Ok(record),
            _ => self.pages.failed(&format!(": what lies at epoch {epoch} is not its record")),
        }
    }

    /// Ids and charges of the receipts of an epoch.
    pub(crate) fn leaves(&self, record: &EpochRecord) -> Result<Vec<(Digest, Amount)>, PageError> {
        let count = usize::try_from(record.receipts_count).unwrap_or(usize::MAX);
        let (mut leaves, mut pieces) = (Vec::new(), 0_u32);
        while leaves.len() < count {
            let key = leaves_key(record.epoch, pieces);
            let bytes = self.row(LEAVES, &key, || format!("piece {pieces} of the ids of epoch {}", record.epoch))?;
            match read_leaves(&bytes) {
                Some(piece) if !piece.is_empty() => leaves.extend(piece),
                _ => return self.is_another("ids", record.epoch),
            }
            pieces = pieces.saturating_add(1);
        }
        if commits_to(record, &leaves) { Ok(leaves) } else { self.is_another("ids", record.epoch) }
    }

    /// Verdicts given in an epoch.
    pub(crate) fn verdicts(&self, record: &EpochRecord) -> Result<Vec<VerdictRecord>, PageError> {
        let mut verdicts = Vec::new();
        while verdicts_root(&verdicts) != record.verdicts_root {
            let key = piece_key(record.epoch, VERDICTS, piece_of(verdicts.len(), VERDICTS_A_PIECE));
            let bytes = self.row(PIECES, &key, || format!("a piece of the verdicts of epoch {}", record.epoch))?;
            match read_piece::<VerdictPiece>(&key, &bytes) {
                Some(piece) if !piece.verdicts.is_empty() => verdicts.extend(piece.verdicts.into_inner()),
                _ => return self.is_another("verdicts", record.epoch),
            }
        }
        Ok(verdicts)
    }

    /// Some of the receipts of an epoch. Which they are, their ids say.
    fn piece(&self, epoch: u64, piece: u32) -> Result<Piece, PageError> {
        let key = piece_key(epoch, RECEIPTS, piece);
        let bytes = self.row(PIECES, &key, || format!("piece {piece} of the receipts of epoch {epoch}"))?;
        match read_piece::<ReceiptPiece>(&key, &bytes) {
            Some(read) => Ok(Arc::new(read.receipts.into_inner().into_iter().map(Arc::new).collect())),
            None => self.is_another("receipts", epoch),
        }
    }

    /// The receipt at a place of an epoch, whose id is known.
    pub(crate) fn receipt(&self, epoch: u64, index: u64, id: &Digest) -> Result<Arc<SignedReceipt>, PageError> {
        let (piece, place) = place_of(index);
        let cached = self.cache.receipts.lock().unwrap_or_else(PoisonError::into_inner).get(&(epoch, piece));
        let receipts = match cached {
            Some(receipts) => receipts,
            None => {
                let read = self.piece(epoch, piece)?;
                let bytes = read.len().saturating_mul(RECEIPT_BYTES);
                let mut cache = self.cache.receipts.lock().unwrap_or_else(PoisonError::into_inner);
                cache.put((epoch, piece), Arc::clone(&read), bytes);
                read
            }
        };
        match receipts.get(place).filter(|signed| signed.receipt.id() == *id) {
            Some(signed) => Ok(Arc::clone(signed)),
            None => self.is_another("receipts", epoch),
        }
    }

    /// All of an epoch.
    pub(crate) fn closed(&self, record: EpochRecord) -> Result<ClosedEpoch, PageError> {
        let (leaves, verdicts) = (self.leaves(&record)?, self.verdicts(&record)?);
        let mut receipts = Vec::with_capacity(leaves.len());
        while receipts.len() < leaves.len() {
            let piece = self.piece(record.epoch, piece_of(receipts.len(), RECEIPTS_A_PIECE))?;
            if piece.is_empty() {
                break;
            }
            receipts.extend(piece.iter().cloned());
        }
        let is_right = receipts.len() == leaves.len()
            && receipts.iter().zip(&leaves).all(|(signed, (id, _))| signed.receipt.id() == *id);
        if !is_right {
            return self.is_another("receipts", record.epoch);
        }
        Ok(ClosedEpoch { record, leaves, receipts, verdicts })
    }

    /// Which receipt is anchored under a worker's number; `is_there` where one is known to be.
    pub(crate) fn sequence(&self, worker: &NodeId, number: u64, is_there: bool) -> Result<Option<Digest>, PageError> {
        // Where all numbers of a run came with one epoch, as most do, the first look finds them.
        for first in run_of(number)..=number {
            let key = sequence_key(worker, first);
            let Some(bytes) = self.pages.read(SEQUENCES, &key)? else { continue };
            match read_numbers(&key, &bytes, number.saturating_sub(first)) {
                // What a later state wrote that was given up is not anchored here.
                Some((epoch, Some(id))) if epoch < self.epochs => return Ok(Some(id)),
                Some(_) => {}
                None => {
                    return self
                        .pages
                        .failed(&format!(": what lies at number {first} of worker {worker} is not as it was written"));
                }
            }
        }
        if is_there { self.lost(worker, number) } else { Ok(None) }
    }

    /// A worker's number has a receipt, and no row.
    pub(crate) fn lost<T>(&self, worker: &NodeId, number: u64) -> Result<T, PageError> {
        self.pages.failed(&format!(": number {number} of worker {worker} is missing"))
    }
}

/// Rows of an epoch, and of the numbers of its receipts.
pub(crate) fn rows_of(closed: &ClosedEpoch, rows: &mut Vec<Row>) {
    let epoch = closed.record.epoch;
    let mut put = |table, key: Vec<u8>, value| rows.push(Row { table, key, value: Some(value) });
    put(EPOCHS, epoch.to_be_bytes().to_vec(), closed.record.encode());
    for (piece, leaves) in (0..).zip(closed.leaves.chunks(LEAVES_A_PIECE)) {
        put(LEAVES, leaves_key(epoch, piece), write_leaves(leaves));
    }
    for (piece, receipts) in (0..).zip(closed.receipts.chunks(RECEIPTS_A_PIECE)) {
        let key = piece_key(epoch, RECEIPTS, piece);
        let value = write_piece(&key, receipts, |signed, out| signed.write(out));
        put(PIECES, key, value);
    }
    for (piece, verdicts) in (0..).zip(closed.verdicts.chunks(VERDICTS_A_PIECE)) {
        let key = piece_key(epoch, VERDICTS, piece);
        let value = write_piece(&key, verdicts, |verdict, out| verdict.write(out));
        put(PIECES, key, value);
    }
    number_rows(closed, rows);
}

/// Rows of the numbers of an epoch's receipts: one for each run of which it has some, under the first of them.
pub(crate) fn number_rows(closed: &ClosedEpoch, rows: &mut Vec<Row>) {
    let mut runs: BTreeMap<(NodeId, u64), Vec<(u64, Digest)>> = BTreeMap::new();
    for (signed, (id, _)) in closed.receipts.iter().zip(&closed.leaves) {
        let (worker, number) = (signed.receipt.worker, signed.receipt.sequence);
        runs.entry((worker, run_of(number))).or_default().push((number, *id));
    }
    for ((worker, _), mut numbers) in runs {
        numbers.sort_unstable();
        let Some((first, _)) = numbers.first() else { continue };
        let key = sequence_key(&worker, *first);
        let value = Some(write_numbers(&key, closed.record.epoch, *first, &numbers));
        rows.push(Row { table: SEQUENCES, key, value });
    }
}

/// What `ReceiptPiece` and `VerdictPiece` read, and a checksum: no root binds a receipt's signature.
fn write_piece<T>(key: &[u8], items: &[T], write: impl FnMut(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write_list(items, &mut out, write);
    out.extend_from_slice(&check_of("og/ledger/piece/v1", key, &out));
    out
}

/// `None` for what is not as it was written.
pub(crate) fn read_piece<T: Canonical>(key: &[u8], bytes: &[u8]) -> Option<T> {
    let (items, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    (check_of("og/ledger/piece/v1", key, items) == *check).then(|| T::decode(items).ok())?
}

fn check_of(domain: &'static str, key: &[u8], bytes: &[u8]) -> [u8; CHECK_BYTES] {
    hash(domain, &[key, bytes]).0.first_chunk().copied().unwrap_or_default()
}

fn leaves_key(epoch: u64, piece: u32) -> Vec<u8> {
    [epoch.to_be_bytes().as_slice(), &piece.to_be_bytes()].concat()
}

/// In the order of epochs; of one, receipts come before verdicts.
pub(crate) fn piece_key(epoch: u64, kind: u8, piece: u32) -> Vec<u8> {
    [epoch.to_be_bytes().as_slice(), &[kind], &piece.to_be_bytes()].concat()
}

/// In which piece an item is.
pub(crate) fn piece_of(index: usize, a_piece: usize) -> u32 {
    u32::try_from(index.checked_div(a_piece).unwrap_or(0)).unwrap_or(u32::MAX)
}

/// In which piece a receipt is, and where in it.
fn place_of(index: u64) -> (u32, usize) {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    (piece_of(index, RECEIPTS_A_PIECE), index.checked_rem(RECEIPTS_A_PIECE).unwrap_or(0))
}

fn write_leaves(leaves: &[(Digest, Amount)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(leaves.len().saturating_mul(LEAF_BYTES));
    for (id, charge) in leaves {
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&charge.to_be_bytes());
    }
    out
}

/// `None` for what is no whole number of leaves.
fn read_leaves(bytes: &[u8]) -> Option<Vec<(Digest, Amount)>> {
    let (leaves, rest) = bytes.as_chunks::<LEAF_BYTES>();
    let leaf = |bytes: &[u8; LEAF_BYTES]| {
        let mut bytes = bytes.as_slice();
        Some((Digest(pages::take(&mut bytes)?), Amount::from_be_bytes(pages::take(&mut bytes)?)))
    };
    rest.is_empty().then(|| leaves.iter().map(leaf).collect())?
}

fn sequence_key(worker: &NodeId, number: u64) -> Vec<u8> {
    [worker.0.as_slice(), &number.to_be_bytes()].concat()
}

/// The first number of a run.
fn run_of(number: u64) -> u64 {
    number >> RUN_HEIGHT << RUN_HEIGHT
}

fn write_numbers(key: &[u8], epoch: u64, first: u64, numbers: &[(u64, Digest)]) -> Vec<u8> {
    let mut out = epoch.to_be_bytes().to_vec();
    for (number, id) in numbers {
        // Of one run, so that it fits.
        out.push(u8::try_from(number.saturating_sub(first)).unwrap_or(u8::MAX));
        out.extend_from_slice(&id.0);
    }
    let check = check_of("og/ledger/sequence/v2", key, &out);
    out.extend_from_slice(&check);
    out
}

/// The epoch of a row, and the receipt that has the number so far behind its first, if it has one; `None` for what is not as it was written.
fn read_numbers(key: &[u8], bytes: &[u8], behind: u64) -> Option<(u64, Option<Digest>)> {
    let (mut told, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    if check_of("og/ledger/sequence/v2", key, told) != *check {
        return None;
    }
    let epoch = u64::from_be_bytes(pages::take(&mut told)?);
    let (numbers, rest) = told.as_chunks::<NUMBER_BYTES>();
    let found = numbers.iter().find(|[own, ..]| u64::from(*own) == behind);
    rest.is_empty().then(|| (epoch, found.map(|[_, id @ ..]| Digest(*id))))
}
