//! What auditing needs, shared by all audits that are under way; and what they came to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crypto::SigningKey;
use network::{Client, LedgerClient, NetworkError, Sender};
use protocol::{NodeId, NodeRecord, Role, Standing, service::ReceiptView};
use tokio::sync::Semaphore;

use crate::{judges::Judges, lies::Lies, marks::Marks, openings::Openings, sample::is_sampled};

/// Openings asked of one worker at the same time: one that keeps us waiting must not keep us from the others.
const ASKING: usize = 4;
/// How long the ledger's list of nodes is believed.
const FRESH: Duration = Duration::from_secs(2);

/// Counts for the status line.
#[derive(Default)]
pub(crate) struct Counts {
    pub equal: AtomicU64,
    pub challenged: AtomicU64,
    pub withheld: AtomicU64,
    /// Attempts that came to nothing, and were made again.
    pub failed: AtomicU64,
    /// Receipts whose window closed before anything could be said about them.
    pub missed: AtomicU64,
    /// Receipts that could not be judged, or not in time, and that the ledger does not show as audited: their workers may have lied.
    pub unjudged: AtomicU64,
    /// Answers of float models, which nobody can audit.
    pub not_auditable: AtomicU64,
    /// Audits under way.
    pub pending: AtomicU64,
    /// The newest certified epoch.
    pub epoch: AtomicU64,
}

pub(crate) struct Desk {
    pub chain_id: u64,
    pub key: SigningKey,
    pub secret: [u8; 32],
    pub rate: u32,
    pub client: Client,
    pub ledger: LedgerClient,
    pub sender: Sender,
    pub judges: Judges,
    pub marks: Marks,
    pub lies: Lies,
    pub openings: Openings,
    pub counts: Counts,
    pub workers: Workers,
}

impl Desk {
    /// True where this auditor is to look at the receipt: what another auditor found says nothing, as it may be the
    /// worker's friend, and its challenge may lapse; what is in question is decided by who has the opening.
    pub fn wants(&self, view: &ReceiptView) -> bool {
        let id = view.receipt.receipt.id();
        let is_open = match view.status.standing {
            Standing::Anchored | Standing::Audited | Standing::Challenged => true,
            Standing::Upheld | Standing::Refuted | Standing::Withheld => false,
        };
        let is_settled = || {
            self.marks.contains(view.status.epoch, &id).unwrap_or_else(|error| {
                tracing::warn!(%error, "failed to read what was settled: auditing again does no harm");
                false
            })
        };
        if !is_open || !is_sampled(&self.secret, &id, self.rate) || is_settled() {
            return false;
        }
        if !view.receipt.receipt.is_exact() {
            self.counts.not_auditable.fetch_add(1, Ordering::Relaxed);
            tracing::info!(receipt = %id, "not auditable: a float model gave the answer");
            return false;
        }
        true
    }

    pub fn epoch(&self) -> u64 {
        self.counts.epoch.load(Ordering::Relaxed)
    }
}

/// Where workers are reached, and how many questions to each are open.
#[derive(Default)]
pub(crate) struct Workers {
    nodes: Mutex<Option<(Arc<Vec<NodeRecord>>, Instant)>>,
    asking: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

impl Workers {
    /// The worker's address, as the ledger says it.
    pub async fn endpoint(&self, ledger: &LedgerClient, worker: &NodeId) -> Result<Option<String>, NetworkError> {
        let known = locked(&self.nodes).clone();
        let nodes = match known {
            Some((nodes, at)) if at.elapsed() < FRESH => nodes,
            _ => {
                let nodes = Arc::new(ledger.nodes().await?);
                *locked(&self.nodes) = Some((Arc::clone(&nodes), Instant::now()));
                nodes
            }
        };
        let node = nodes.iter().find(|node| node.node == *worker && node.role == Role::Worker);
        Ok(node.map(|node| node.endpoint.to_string()))
    }

    /// Places for questions to this worker.
    pub fn asking(&self, worker: NodeId) -> Arc<Semaphore> {
        // As many entries as there are workers whose receipts were anchored.
        Arc::clone(locked(&self.asking).entry(worker).or_insert_with(|| Arc::new(Semaphore::new(ASKING))))
    }
}

/// Every holder leaves what it guards whole, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
