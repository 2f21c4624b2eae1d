//! Receipts between their worker and the ledger: durable first, then sent until the ledger has anchored them.
//!
//! A receipt leaves the outbox only when a validator shows it anchored, or is set aside after it was refused for long;
//! one that is sent twice is anchored once, because the ledger knows it by its id.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use network::{LedgerClient, NetworkError, Sender};
use protocol::{
    Action, Canonical, Digest, List, SignedReceipt,
    transaction::{BATCH_MAX, PostReceipts},
};
use storage::{Change, Durable, Store, StoreError};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{metrics::Metrics, pace::Pace};

/// Receipts on their way, by the order in which they came; and those that the ledger would not take.
const WAITING: &str = "outbox";
const SET_ASIDE: &str = "set_aside";
/// Sendings after which a receipt is set aside; with growing pauses this is a quarter of an hour.
const SENDINGS_MAX: u32 = 16;
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Questions that stand open at the same time.
const QUESTIONS: usize = 16;

/// Why the outbox could not be opened.
#[derive(Debug, Error)]
pub enum OutboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to read a waiting receipt: {0}")]
    Receipt(#[from] protocol::DecodeError),
    #[error("failed to read a waiting receipt: its key has {0} bytes, 8 expected")]
    Key(usize),
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
    store: Store,
    waiting: Arc<Mutex<BTreeMap<u64, Waiting>>>,
    next: Arc<AtomicU64>,
    arrived: Arc<Notify>,
    pace: Pace,
}

impl Outbox {
    /// Opens the file and takes up what was waiting: asked for first, because it may have been anchored meanwhile.
    pub fn open(path: &std::path::Path, pace: Pace) -> Result<Self, OutboxError> {
        let store = Store::open(path, &[WAITING, SET_ASIDE])?;
        let now = Instant::now();
        let mut waiting = BTreeMap::new();
        for (key, value) in store.scan(WAITING, &[], usize::MAX)? {
            let place = key.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| OutboxError::Key(key.len()))?;
            let receipt = SignedReceipt::decode(&value)?;
            let id = receipt.receipt.id();
            // Long overdue, as far as sending is concerned.
            let sent_at = Some(now.checked_sub(pace.resend).unwrap_or(now));
            waiting.insert(place, Waiting { receipt, id, sendings: 0, sent_at, ask_at: now });
        }
        let next = waiting.last_key_value().map_or(0, |(place, _)| place.saturating_add(1));
        Ok(Self {
            store,
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
        waiting.or_else(|| SignedReceipt::decode(&self.store.get(SET_ASIDE, &id.0).ok()??).ok())
    }

    /// Takes a receipt; it is durable once the returned value was waited for, and is sent in any case.
    pub async fn put(&self, receipt: SignedReceipt) -> Result<Durable, StoreError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let (bytes, id) = (receipt.encode(), receipt.receipt.id());
        let waiting = Waiting { receipt, id, sendings: 0, sent_at: None, ask_at: Instant::now() };
        // In memory first: a client that leaves now must not keep the receipt from being sent.
        self.lock().insert(place, waiting);
        self.arrived.notify_one();
        self.store.submit(vec![Change::put(WAITING, place.to_be_bytes(), bytes)]).await
    }

    /// Sends and asks, for ever.
    pub async fn run(self, sender: Sender, ledger: LedgerClient, metrics: Arc<Metrics>) {
        loop {
            if self.lock().is_empty() {
                self.arrived.notified().await;
            }
            tokio::time::sleep(self.pace.flush).await;
            self.confirm(&ledger, &metrics).await;
            if let Err(error) = self.send(&sender, &metrics).await {
                tracing::warn!(%error, "failed to post receipts; they stay in the outbox");
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

    /// Asks after what was sent; forgets what is anchored, marks what is overdue.
    async fn confirm(&self, ledger: &LedgerClient, metrics: &Metrics) {
        let now = Instant::now();
        let due: Vec<(u64, Digest)> = self
            .lock()
            .iter()
            .filter(|(_, waiting)| waiting.sent_at.is_some() && waiting.ask_at <= now)
            .take(BATCH_MAX)
            .map(|(place, waiting)| (*place, waiting.id))
            .collect();
        let ask = |(place, id): (u64, Digest)| async move { (place, id, ledger.receipt(&id).await) };
        let mut answers = futures::stream::iter(due).map(ask).buffer_unordered(QUESTIONS);
        let mut changes = Vec::new();
        while let Some((place, id, answer)) = answers.next().await {
            match answer {
                Ok(view) if view.receipt.receipt.id() != id => {
                    tracing::warn!(receipt = %id, "a validator answered with another receipt");
                    self.ask_later(place);
                }
                Ok(_) => {
                    self.lock().remove(&place);
                    metrics.receipts_anchored.add(1);
                    changes.push(Change::remove(WAITING, place.to_be_bytes()));
                }
                Err(NetworkError::Refused { status: 404, .. }) => changes.extend(self.note_missing(place)),
                Err(error) => {
                    tracing::debug!(%error, "failed to ask after a receipt");
                    self.ask_later(place);
                }
            }
        }
        if !changes.is_empty()
            && let Err(error) = self.store.commit(changes).await
        {
            // They are asked for again after a restart, and found anchored.
            tracing::warn!(%error, "failed to forget anchored receipts");
        }
    }

    fn ask_later(&self, place: u64) {
        if let Some(waiting) = self.lock().get_mut(&place) {
            waiting.ask_at = Instant::now().checked_add(self.pace.confirm).unwrap_or(waiting.ask_at);
        }
    }

    /// The ledger does not know it yet: sent again when overdue, set aside when refused for long.
    fn note_missing(&self, place: u64) -> Vec<Change> {
        let mut all = self.lock();
        let Some(waiting) = all.get_mut(&place) else { return Vec::new() };
        let now = Instant::now();
        waiting.ask_at = now.checked_add(self.pace.confirm).unwrap_or(now);
        let pause = self.pace.resend.saturating_mul(1 << waiting.sendings.min(8)).min(PAUSE_MAX.max(self.pace.resend));
        let is_overdue = waiting.sent_at.is_none_or(|sent_at| now.duration_since(sent_at) >= pause);
        if !is_overdue {
            return Vec::new();
        }
        if waiting.sendings < SENDINGS_MAX {
            waiting.sent_at = None;
            return Vec::new();
        }
        tracing::error!(receipt = %waiting.id, "set a receipt aside that the ledger does not take");
        let bytes = waiting.receipt.encode();
        let id = waiting.id;
        all.remove(&place);
        vec![Change::put(SET_ASIDE, id.0, bytes), Change::remove(WAITING, place.to_be_bytes())]
    }
}
