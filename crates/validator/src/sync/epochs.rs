//! The epochs from others' offers: records in whole groups that the offer commits to, the newest as the small tables tell them, and of each
//! epoch its receipts and verdicts, believed once they are what its record commits to.
//!
//! What came lies in the file as soon as its epoch is whole, so an interrupted start asks only for the rest, and a newer offer only for
//! what is newer. All of an epoch comes of one peer, so that it is known who told what is false.

use std::{collections::VecDeque, sync::Arc};

use blocks::{StateFile, change};
use ledger::{Arrival, ArrivingEpoch, Base, EPOCHS, EPOCHS_A_GROUP, SEQUENCES, group_rows, told_epochs};
use pages::Row;
use protocol::{Canonical as _, Digest, EpochRecord};

use super::{
    blocking,
    failure::SyncError,
    hex, kept,
    peers::{Asked, Fault, Turns},
};
use crate::{
    offer::{GROUP_RUN_BYTES_MAX, GroupRun, Offer, PIECE_RUN_BYTES_MAX, PieceRow, PieceRun},
    snapshot,
};

/// Rows that are written in one go.
const ROWS_A_COMMIT: usize = 8_192;

/// Removes what an earlier start left that is not looked at again: which receipt has a number follows from the receipts, and is written
/// with them.
pub(super) async fn clear(file: &Arc<StateFile>) -> Result<(), SyncError> {
    let file = Arc::clone(file);
    blocking(move || file.clear(SEQUENCES).map_err(kept)).await
}

pub(super) struct Epochs<'a> {
    offer: &'a Offer,
    turns: &'a mut Turns,
    file: Arc<StateFile>,
    /// What was there as this began.
    base: Base,
    arrival: &'a mut Arrival,
    /// Waiting to be written.
    rows: Vec<Row>,
    /// Rows that the peer whose turn it is gave, and that were not wanted yet.
    given: VecDeque<PieceRow>,
}

impl<'a> Epochs<'a> {
    pub async fn new(
        offer: &'a Offer,
        turns: &'a mut Turns,
        file: &Arc<StateFile>,
        arrival: &'a mut Arrival,
    ) -> Result<Self, SyncError> {
        let whole = Arc::clone(file);
        let base = blocking(move || Ok(snapshot::base_of(whole.moment().map_err(kept)?))).await?;
        Ok(Self { offer, turns, file: Arc::clone(file), base, arrival, rows: Vec::new(), given: VecDeque::new() })
    }

    /// Returns once all of them are in the file, beside small tables of these bytes.
    pub async fn run(mut self, bytes: &[u8]) -> Result<(), SyncError> {
        let came = self.all(bytes).await;
        // What counts as here is written, whatever came after it.
        self.write().await.and(came)
    }

    async fn all(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        let epoch = self.offer.epoch;
        let refused = |reason: String| SyncError::Refused { epoch, reason };
        let tail = told_epochs(bytes).map_err(|error| refused(error.to_string()))?;
        let groups = self.offer.groups.to_vec();
        let whole = groups.len().saturating_mul(EPOCHS_A_GROUP) as u64;
        for (group, digest) in groups.iter().enumerate() {
            if self.arrival.has_group(group, digest) {
                continue;
            }
            for record in self.group(group as u64, digest).await? {
                self.epoch(record).await?;
            }
        }
        for record in tail.into_iter().filter(|record| record.epoch >= whole) {
            self.epoch(record).await?;
        }
        Ok(())
    }

    /// Records of a group, from the file or from one peer after the other.
    async fn group(&mut self, group: u64, digest: &Digest) -> Result<Vec<EpochRecord>, SyncError> {
        let first = group.saturating_mul(EPOCHS_A_GROUP as u64);
        let file = Arc::clone(&self.file);
        let found = blocking(move || {
            let moment = file.moment().map_err(kept)?;
            moment.scan(EPOCHS, &first.to_be_bytes(), EPOCHS_A_GROUP, usize::MAX).map_err(kept)
        });
        let found: Option<Vec<_>> = found.await?.iter().map(|(_, record)| EpochRecord::decode(record).ok()).collect();
        if let Some(records) = found.filter(|records| group_rows(first, records, digest).is_ok()) {
            return Ok(records);
        }
        while let Some(peer) = self.turns.peer() {
            let url = format!("{}/snapshots/{}/groups/{group}", peer.url, self.offer.epoch);
            let taken = self.turns.asked(&url, GROUP_RUN_BYTES_MAX).await.and_then(|bytes| {
                let run = GroupRun::decode(&bytes).map_err(|error| Fault::Refused(error.to_string()))?;
                let records = run.records.into_inner();
                let rows = group_rows(first, &records, digest).map_err(|error| Fault::Refused(error.0))?;
                Ok((records, rows))
            });
            match taken {
                Ok((records, rows)) => {
                    self.rows.extend(rows);
                    return Ok(records);
                }
                Err(fault) => self.blame(&peer, &fault),
            }
        }
        Err(self.is_missing(format!("the records from epoch {first} on")))
    }

    fn is_missing(&self, what: String) -> SyncError {
        SyncError::NoState { epoch: self.offer.epoch, what, last: self.turns.last.clone() }
    }

    /// A peer was at fault: what it gave counts no more, and the next one is asked.
    fn blame(&mut self, peer: &Asked, fault: &Fault) {
        self.turns.blame(peer, "epochs", fault);
        self.given.clear();
    }

    /// Receipts and verdicts of an epoch, from the file or from one peer after the other.
    async fn epoch(&mut self, record: EpochRecord) -> Result<(), SyncError> {
        if self.arrival.has(&record) {
            return Ok(());
        }
        if !self.arrival.goes_on_with(&record) {
            // An earlier offer was of another history: nothing that came for it counts.
            let (epoch, reason) = (self.offer.epoch, "it is of another history than the offer before".to_owned());
            return Err(SyncError::Refused { epoch, reason });
        }
        if ArrivingEpoch::new(record.clone()).wanted().is_some()
            && let Some(rows) = self.arrival.find(&self.base, &record)
        {
            return self.keep(rows).await;
        }
        self.turn_over();
        loop {
            let mut arriving = ArrivingEpoch::new(record.clone());
            let peer = self.turns.peer();
            let loaded = match &peer {
                Some(peer) => self.load(peer, &mut arriving).await,
                None if arriving.wanted().is_some() => {
                    return Err(self.is_missing(format!("the receipts of epoch {}", record.epoch)));
                }
                None => Ok(()),
            };
            let finished = loaded.and_then(|()| arriving.finish(self.arrival).map_err(|error| Fault::Refused(error.0)));
            match (finished, peer) {
                (Ok(rows), _) => {
                    self.turns.came();
                    return self.keep(rows).await;
                }
                (Err(Fault::TurnOver), _) => {
                    self.turns.lengthen();
                    self.given.clear();
                }
                (Err(fault), Some(peer)) => self.blame(&peer, &fault),
                (Err(fault), None) => return Err(self.is_missing(format!("epoch {}: {fault}", record.epoch))),
            }
        }
    }

    /// Goes on to the next peer where this one has had its time.
    fn turn_over(&mut self) {
        if self.turns.is_over() {
            self.turns.pass();
            self.given.clear();
        }
    }

    /// All of an epoch of one peer.
    async fn load(&mut self, peer: &Asked, arriving: &mut ArrivingEpoch) -> Result<(), Fault> {
        while let Some(key) = arriving.wanted() {
            if self.given.front().is_none_or(|row| *row.key != *key) {
                if self.turns.is_over() {
                    return Err(Fault::TurnOver);
                }
                let url = format!("{}/snapshots/{}/pieces/{}", peer.url, self.offer.epoch, hex(&key));
                let bytes = self.turns.asked(&url, PIECE_RUN_BYTES_MAX).await?;
                let run = PieceRun::decode(&bytes).map_err(|error| Fault::Refused(error.to_string()))?;
                self.given = run.pieces.into_inner().into();
            }
            let Some(row) = self.given.pop_front() else {
                return Err(Fault::Refused("no pieces at all".to_owned()));
            };
            arriving.take(&row.key, &row.value).map_err(|error| Fault::Refused(error.0))?;
        }
        Ok(())
    }

    async fn keep(&mut self, rows: Vec<Row>) -> Result<(), SyncError> {
        self.rows.extend(rows);
        if self.rows.len() >= ROWS_A_COMMIT { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), SyncError> {
        let (file, rows) = (Arc::clone(&self.file), std::mem::take(&mut self.rows));
        blocking(move || file.put_beside(rows.into_iter().map(change).collect()).map_err(kept)).await
    }
}
