//! Receipts between their worker and the ledger: durable first, then sent until the ledger has anchored them.
//!
//! A receipt leaves the outbox only when a validator shows it anchored, or is set aside after it was refused for long;
//! one that is sent twice is anchored once, because the ledger knows it by its id.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use network::{LedgerClient, NetworkError, ReceiptIds, Sender};
use protocol::{
    Action, Canonical, Digest, List, SignedReceipt,
    transaction::{BATCH_MAX, PostReceipts},
};
use storage::{Change, LogError, Store, StoreError};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{
    kept::{Keeping, Kept, KeptError},
    metrics::Metrics,
    pace::Pace,
};

/// Receipts that the ledger would not take; those on their way are in a log.
const SET_ASIDE: &str = "set_aside";
/// Sendings after which a receipt is set aside; with growing pauses this is longer than the ledger would take it.
const SENDINGS_MAX: u32 = 16;
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why the outbox could not be opened.
#[derive(Debug, Error)]
pub enum OutboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Kept(#[from] KeptError),
}

#[derive(Clone)]
struct Waiting {
    receipt: SignedReceipt,
    id: Digest,
    sendings: u32,
    /// When it was sent last; `None` where it is to be sent now.
    sent_at: Option<Instant>,
    /// When to ask next whether it was anchored.
    ask_at: Instant,
}

/// A handle; clones share it.
#[derive(Clone)]
pub struct Outbox {
    /// On disk, in the order in which `waiting` changes: what appends to it holds the lock.
    kept: Kept,
    aside: Store,
    waiting: Arc<Mutex<BTreeMap<u64, Waiting>>>,
    next: Arc<AtomicU64>,
    arrived: Arc<Notify>,
    pace: Pace,
}

impl Outbox {
    /// Opens its files in a folder and takes up what was waiting: asked for first, because it may have been anchored
    /// meanwhile.
    pub fn open(folder: &Path, pace: Pace) -> Result<Self, OutboxError> {
        let (kept, receipts) = Kept::open(&folder.join("outbox.log"))?;
        let aside = Store::open(&folder.join("set_aside.redb"), &[SET_ASIDE])?;
        let now = Instant::now();
        // Long overdue, as far as sending is concerned.
        let sent_at = Some(now.checked_sub(pace.resend).unwrap_or(now));
        let taken_up = |(place, receipt): (u64, SignedReceipt)| {
            let id = receipt.receipt.id();
            (place, Waiting { receipt, id, sendings: 0, sent_at, ask_at: now })
        };
        let waiting: BTreeMap<u64, Waiting> = receipts.into_iter().map(taken_up).collect();
        let next = waiting.last_key_value().map_or(0, |(place, _)| place.saturating_add(1));
        Ok(Self {
            kept,
            aside,
            waiting: Arc::new(Mutex::new(waiting)),
            next: Arc::new(AtomicU64::new(next)),
            arrived: Arc::default(),
            pace,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        // Nothing here panics while it holds the lock, and no value is left half-written.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= self.pace.outbox_max
    }

    /// A receipt that is still waiting, or was set aside.
    pub fn find(&self, id: &Digest) -> Option<SignedReceipt> {
        let waiting = self.lock().values().find(|waiting| waiting.id == *id).map(|waiting| waiting.receipt.clone());
        waiting.or_else(|| SignedReceipt::decode(&self.aside.get(SET_ASIDE, &id.0).ok()??).ok())
    }

    /// True where the ledger would not take it, however often it was sent.
    pub fn is_set_aside(&self, id: &Digest) -> bool {
        self.aside.get(SET_ASIDE, &id.0).is_ok_and(|kept| kept.is_some())
    }

    /// Takes a receipt; it is durable once the returned value was waited for, and is sent in any case.
    pub fn put(&self, receipt: SignedReceipt) -> Result<Keeping, LogError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let (entry, id) = (Kept::came(place, &receipt), receipt.receipt.id());
        let waiting = Waiting { receipt, id, sendings: 0, sent_at: None, ask_at: Instant::now() };
        let mut all = self.lock();
        // In memory first: a client that leaves now must not keep the receipt from being sent.
        all.insert(place, waiting);
        let keeping = self.kept.append(&entry);
        drop(all);
        self.arrived.notify_one();
        keeping
    }

    /// Sends and asks, for ever.
    pub async fn run(self, sender: Sender, ledger: LedgerClient, metrics: Arc<Metrics>) {
        loop {
            if self.lock().is_empty() {
                self.arrived.notified().await;
            }
            tokio::time::sleep(self.pace.flush).await;
            if self.confirm(&ledger, &metrics).await {
                // What took them may have lost them, and may never take part again.
                ledger.prefer_another();
                sender.recount().await;
            }
            if let Err(error) = self.send(&sender, &metrics).await {
                tracing::warn!(%error, "failed to post receipts; they stay in the outbox");
                ledger.prefer_another();
                tokio::time::sleep(self.pace.confirm).await;
            }
        }
    }

    /// Posts what is to be sent, in batches, oldest first.
    async fn send(&self, sender: &Sender, metrics: &Metrics) -> Result<(), NetworkError> {
        loop {
            let batch: Vec<(u64, SignedReceipt)> = self
                .lock()
                .iter()
                .filter(|(_, waiting)| waiting.sent_at.is_none())
                .take(BATCH_MAX)
                .map(|(place, waiting)| (*place, waiting.receipt.clone()))
                .collect();
            let (places, receipts): (Vec<u64>, Vec<SignedReceipt>) = batch.into_iter().unzip();
            let receipts = List::new(receipts).unwrap_or_default();
            if receipts.is_empty() {
                return Ok(());
            }
            sender.send(Action::PostReceipts(PostReceipts { receipts })).await?;
            self.note_sent(&places, metrics);
        }
    }

    fn note_sent(&self, places: &[u64], metrics: &Metrics) {
        let now = Instant::now();
        let mut all = self.lock();
        for place in places {
            if let Some(waiting) = all.get_mut(place) {
                metrics.receipts_resent.add(u64::from(waiting.sendings > 0));
                waiting.sendings = waiting.sendings.saturating_add(1);
                waiting.sent_at = Some(now);
                waiting.ask_at = now.checked_add(self.pace.confirm).unwrap_or(now);
            }
        }
    }

    /// Asks after what was sent; forgets what is anchored, marks what is overdue. True where anything is to be sent again.
    ///
    /// About what is overdue every validator is asked, because the first one may be behind.
    async fn confirm(&self, ledger: &LedgerClient, metrics: &Metrics) -> bool {
        let (now, mut is_lost) = (Instant::now(), false);
        loop {
            let (asked, lost) = self.confirm_some(ledger, metrics, now).await;
            is_lost |= lost;
            if asked < BATCH_MAX {
                return is_lost;
            }
        }
    }

    /// The same for one batch of those that were due at `now`: how many were asked after, none of which is any more.
    async fn confirm_some(&self, ledger: &LedgerClient, metrics: &Metrics, now: Instant) -> (usize, bool) {
        let (overdue, due): (Vec<_>, Vec<_>) = self
            .lock()
            .iter()
            .filter(|(_, waiting)| waiting.sent_at.is_some() && waiting.ask_at <= now)
            .take(BATCH_MAX)
            .map(|(place, waiting)| ((*place, waiting.id), self.is_overdue(waiting, now)))
            .partition(|(_, is_overdue)| *is_overdue);
        let (count, mut is_lost) = (due.len().saturating_add(overdue.len()), false);
        let (mut gone, mut aside) = (Vec::new(), Vec::new());
        for (asked, is_overdue) in [(due, false), (overdue, true)] {
            let ids: Vec<Digest> = asked.iter().map(|((_, id), _)| *id).collect();
            let ids = ReceiptIds::new(ids).unwrap_or_default();
            if ids.is_empty() {
                continue;
            }
            let answer = if is_overdue { ledger.anchored_anywhere(&ids).await } else { ledger.anchored(&ids).await };
            let anchored: BTreeSet<Digest> = match answer {
                Ok(anchored) => anchored.into_iter().collect(),
                Err(error) => {
                    tracing::debug!(%error, "failed to ask after receipts");
                    asked.iter().for_each(|((place, _), _)| self.ask_later(*place));
                    continue;
                }
            };
            for ((place, id), _) in asked {
                if anchored.contains(&id) {
                    metrics.receipts_anchored.add(1);
                    gone.push(place);
                } else {
                    match self.note_missing(place, now) {
                        Missing::Young => {}
                        Missing::Lost => is_lost = true,
                        Missing::Refused(moved) => aside.push((place, moved)),
                    }
                }
            }
        }
        let (places, changes): (Vec<u64>, Vec<Change>) = aside.into_iter().unzip();
        match if changes.is_empty() { Ok(()) } else { self.aside.commit(changes).await } {
            // Not before: whoever asks for one meanwhile finds it in one place or the other.
            Ok(()) => gone.extend(places),
            Err(error) => tracing::warn!(%error, "failed to set receipts aside"),
        }
        self.forget(&gone);
        (count, is_lost)
    }

    /// What is anchored or set aside.
    fn forget(&self, gone: &[u64]) {
        if gone.is_empty() {
            return;
        }
        let mut all = self.lock();
        gone.iter().for_each(|place| drop(all.remove(place)));
        let left = all.iter().map(|(place, waiting)| (*place, &waiting.receipt));
        // Nobody waits for it: what a crash brings back is asked for after the restart, and found anchored.
        if let Err(error) = self.kept.forget(gone, left) {
            tracing::warn!(%error, "failed to forget anchored receipts");
        }
    }

    /// Sent so long ago that it should have been anchored.
    fn is_overdue(&self, waiting: &Waiting, now: Instant) -> bool {
        let doublings = waiting.sendings.saturating_sub(1).min(8);
        let pause = self.pace.resend.saturating_mul(1 << doublings).min(PAUSE_MAX.max(self.pace.resend));
        waiting.sent_at.is_none_or(|sent_at| now.saturating_duration_since(sent_at) >= pause)
    }

    fn ask_later(&self, place: u64) {
        if let Some(waiting) = self.lock().get_mut(&place) {
            waiting.ask_at = Instant::now().checked_add(self.pace.confirm).unwrap_or(waiting.ask_at);
        }
    }

    /// The ledger does not know it yet. `asked_at` is when it was found due: what became overdue later was not asked of
    /// everyone.
    fn note_missing(&self, place: u64, asked_at: Instant) -> Missing {
        let mut all = self.lock();
        let Some(waiting) = all.get_mut(&place) else { return Missing::Young };
        waiting.ask_at = Instant::now().checked_add(self.pace.confirm).unwrap_or(asked_at);
        if !self.is_overdue(waiting, asked_at) {
            return Missing::Young;
        }
        if waiting.sendings < SENDINGS_MAX {
            waiting.sent_at = None;
            return Missing::Lost;
        }
        tracing::error!(receipt = %waiting.id, "set a receipt aside that the ledger does not take");
        Missing::Refused(Change::put(SET_ASIDE, waiting.id.0, waiting.receipt.encode()))
    }
}

/// A receipt that the ledger does not know.
enum Missing {
    /// It was sent only just now.
    Young,
    /// It is to be sent again.
    Lost,
    /// Refused for long: it moves to those that are set aside.
    Refused(Change),
}
