//! Receipts between their worker and the ledger: durable first, then sent until the ledger has anchored them.
//!
//! A receipt leaves the outbox only when a validator shows it anchored, or is set aside after it was refused for long;
//! one that is sent twice is anchored once, because the ledger knows it by its id.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use network::{LedgerClient, NetworkError, ReceiptIds, Sender, now_ms};
use protocol::{
    Action, Amount, Canonical, Digest, List, Milliseconds, SignedReceipt,
    transaction::{BATCH_MAX, PostReceipts},
};
use storage::{Change, LogError, Store, StoreError};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{
    kept::{Keeping, Kept, KeptError},
    metrics::Metrics,
    pace::Pace,
    waiting::{AllWaiting, Waiting},
};

/// Receipts of one transaction: encoding and signing them takes a core for a moment only, which another answer may need.
const SENT_AT_ONCE: usize = 64;
/// Where more is to be sent than this, the ledger was away: a transaction then holds as many as it may.
const BACKLOG: usize = 2_048;
/// Receipts that change under one taking of the lock, which every answer takes too.
const CHANGED_AT_ONCE: usize = 32;
/// Between two transactions, in which the core is somebody else's.
const BREATH: Duration = Duration::from_millis(1);
/// Receipts that the ledger would not take; those on their way are in a log.
const SET_ASIDE: &str = "set_aside";
/// Sendings after which a receipt is set aside; with growing pauses this is longer than the ledger would take it.
const SENDINGS_MAX: u32 = 16;
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How old a receipt may be that the ledger takes, by the rules that networks begin with.
const RECEIPT_AGE_MS: Milliseconds = 600_000;

/// Why the outbox could not be opened.
#[derive(Debug, Error)]
pub enum OutboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Kept(#[from] KeptError),
}

/// A handle; clones share it.
#[derive(Clone)]
pub struct Outbox {
    /// On disk, in the order in which `waiting` changes: what appends to it holds the lock.
    kept: Kept,
    aside: Store,
    waiting: Arc<Mutex<AllWaiting>>,
    /// How many those are, for whoever only wants to know whether there is room.
    count: Arc<AtomicUsize>,
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
        let mut waiting = AllWaiting::default();
        for (place, receipt) in receipts {
            let (id, receipt) = (receipt.receipt.id(), Arc::new(receipt));
            waiting.insert(place, Waiting { receipt, id, sendings: 0, sent_at, ask_at: now });
        }
        let next = waiting.last_place().map_or(0, |place| place.saturating_add(1));
        Ok(Self {
            kept,
            aside,
            count: Arc::new(AtomicUsize::new(waiting.len())),
            waiting: Arc::new(Mutex::new(waiting)),
            next: Arc::new(AtomicU64::new(next)),
            arrived: Arc::default(),
            pace,
        })
    }

    fn lock(&self) -> MutexGuard<'_, AllWaiting> {
        // Nothing here panics while it holds the lock, and no value is left half-written.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn is_full(&self) -> bool {
        self.len() >= self.pace.outbox_max
    }

    /// A receipt that is still waiting, or was set aside.
    pub fn find(&self, id: &Digest) -> Option<SignedReceipt> {
        let waiting = self.lock().find(id);
        waiting
            .map(Arc::unwrap_or_clone)
            .or_else(|| SignedReceipt::decode(&self.aside.get(SET_ASIDE, &id.0).ok()??).ok())
    }

    /// What those charged that wait, in base units of OPG.
    pub fn charges(&self) -> Amount {
        self.lock().charges()
    }

    /// Sends what charged something again at once, as if it had not been sent yet: the ledger would not take it for what we owed, and does now.
    /// What it is too old for stays as it is.
    pub fn send_again(&self) {
        let is_young = |receipt: &SignedReceipt| {
            now_ms().saturating_sub(receipt.receipt.finished_at_ms) < RECEIPT_AGE_MS && receipt.receipt.charge > 0
        };
        let all = self.lock().all();
        let places: Vec<u64> =
            all.into_iter().filter(|(_, receipt)| is_young(receipt)).map(|(place, _)| place).collect();
        for places in places.chunks(CHANGED_AT_ONCE) {
            let mut all = self.lock();
            for place in places {
                all.change(*place, |waiting| (waiting.sendings, waiting.sent_at) = (0, None));
            }
        }
        self.arrived.notify_one();
    }

    /// True where the ledger would not take it, however often it was sent.
    pub fn is_set_aside(&self, id: &Digest) -> bool {
        self.aside.get(SET_ASIDE, &id.0).is_ok_and(|kept| kept.is_some())
    }

    /// Takes a receipt; it is durable once the returned value was waited for, and is sent in any case.
    pub fn put(&self, receipt: SignedReceipt) -> Result<Keeping, LogError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let (entry, id) = (Kept::came(place, &receipt), receipt.receipt.id());
        let waiting = Waiting { receipt: Arc::new(receipt), id, sendings: 0, sent_at: None, ask_at: Instant::now() };
        let mut all = self.lock();
        // In memory first: a client that leaves now must not keep the receipt from being sent.
        all.insert(place, waiting);
        self.count.store(all.len(), Ordering::Relaxed);
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
            let batch = {
                let all = self.lock();
                all.unsent(if all.unsent_count() > BACKLOG { BATCH_MAX } else { SENT_AT_ONCE })
            };
            if batch.is_empty() {
                return Ok(());
            }
            let (places, receipts): (Vec<u64>, Vec<SignedReceipt>) =
                batch.into_iter().map(|(place, receipt)| (place, SignedReceipt::clone(&receipt))).unzip();
            let receipts = List::new(receipts).unwrap_or_default();
            sender.send(Action::PostReceipts(PostReceipts { receipts })).await?;
            self.note_sent(&places, metrics);
            tokio::time::sleep(BREATH).await;
        }
    }

    fn note_sent(&self, places: &[u64], metrics: &Metrics) {
        let now = Instant::now();
        let ask_at = now.checked_add(self.pace.confirm).unwrap_or(now);
        for places in places.chunks(CHANGED_AT_ONCE) {
            let mut all = self.lock();
            for place in places {
                all.change(*place, |waiting| {
                    metrics.receipts_resent.add(u64::from(waiting.sendings > 0));
                    waiting.sendings = waiting.sendings.saturating_add(1);
                    waiting.sent_at = Some(now);
                    waiting.ask_at = ask_at;
                });
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
            .due(now, BATCH_MAX)
            .map(|(place, waiting)| ((place, waiting.id), self.is_overdue(waiting, now)))
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
        // Few at a time, so that no answer waits for all of them; freed outside of the lock.
        let mut freed = Vec::with_capacity(gone.len());
        for places in gone.chunks(CHANGED_AT_ONCE) {
            let mut all = self.lock();
            freed.extend(places.iter().filter_map(|place| all.remove(*place)));
            self.count.store(all.len(), Ordering::Relaxed);
        }
        // Only marked and listed under the lock: what is left is encoded outside of it.
        let anew = {
            let all = self.lock();
            self.kept.is_to_be_begun_anew(all.len()).then(|| (self.kept.mark(), all.all()))
        };
        let forgotten = match anew {
            Some((mark, left)) => self.kept.begin_anew(mark, &left),
            None => self.kept.forget(gone),
        };
        // Nobody waits for it: what a crash brings back is asked for after the restart, and found anchored.
        if let Err(error) = forgotten {
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
        let ask_at = Instant::now().checked_add(self.pace.confirm);
        self.lock().change(place, |waiting| waiting.ask_at = ask_at.unwrap_or(waiting.ask_at));
    }

    /// The ledger does not know it yet. `asked_at` is when it was found due: what became overdue later was not asked of
    /// everyone.
    fn note_missing(&self, place: u64, asked_at: Instant) -> Missing {
        let ask_at = Instant::now().checked_add(self.pace.confirm).unwrap_or(asked_at);
        let missing = |waiting: &mut Waiting| {
            waiting.ask_at = ask_at;
            if !self.is_overdue(waiting, asked_at) {
                return Missing::Young;
            }
            if waiting.sendings < SENDINGS_MAX {
                waiting.sent_at = None;
                return Missing::Lost;
            }
            tracing::error!(receipt = %waiting.id, "set a receipt aside that the ledger does not take");
            Missing::Refused(Change::put(SET_ASIDE, waiting.id.0, waiting.receipt.encode()))
        };
        self.lock().change(place, missing).unwrap_or(Missing::Young)
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
