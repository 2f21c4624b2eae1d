//! The auditor as a node: follows the epochs, asks workers for openings, judges, reports or challenges.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crypto::{Digest, SigningKey, hash};
use futures::{StreamExt as _, stream};
use hub::{Models, Shelf, ShelfError};
use network::{
    Client, LedgerClient, Limits, NetworkError, Sender, Server,
    axum::{Json, Router, extract::State, routing::get},
};
use protocol::{
    Action, Opening, Version,
    registry::{Role, Standing},
    service::{OpeningRequest, ReceiptView},
    transaction::{Challenge, ReportAudit},
};
use serde_json::{Value, json};
use storage::{Change, Store, StoreError};
use thiserror::Error;
use tokio::task::JoinHandle;

use crate::{
    judge::{Judgement, judge},
    sample::is_sampled,
};

const PROGRESS: &str = "progress";
const NEXT_EPOCH: &[u8] = b"next_epoch";
/// Between two looks at the newest epoch.
const POLL: Duration = Duration::from_millis(200);
/// Receipts judged at the same time.
const PARALLEL: usize = 2;
/// How often, and after which waits, a worker is asked for an opening before it is challenged for withholding it.
const OPENING_WAITS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(900)];

/// What an auditor needs to start.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub directory: PathBuf,
    pub chain_id: u64,
    pub key: SigningKey,
    pub validators: Vec<String>,
    pub hubs: Vec<String>,
    /// Receipts audited, in a million (`RATE_WHOLE` audits all).
    pub rate: u32,
}

/// Why an auditor did not start.
#[derive(Debug, Error)]
pub enum AuditorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Counts for the status line.
#[derive(Default)]
struct Counts {
    equal: AtomicU64,
    challenged: AtomicU64,
    withheld: AtomicU64,
    failed: AtomicU64,
    epoch: AtomicU64,
}

struct Desk {
    chain_id: u64,
    key: SigningKey,
    secret: [u8; 32],
    rate: u32,
    client: Client,
    ledger: LedgerClient,
    sender: Sender,
    models: Models,
    store: Store,
    counts: Counts,
}

/// A running auditor; dropping it stops it.
pub struct Auditor {
    server: Server,
    following: JoinHandle<()>,
}

impl Auditor {
    pub async fn start(config: Config) -> Result<Self, AuditorError> {
        let client = Client::new(Duration::from_secs(5));
        let ledger = LedgerClient::new(client.clone(), &config.validators);
        let shelf = Shelf::open(&config.directory.join("models"))?;
        let desk = Arc::new(Desk {
            chain_id: config.chain_id,
            secret: hash("og/audit/secret/v1", &[&config.key.seed()]).0,
            rate: config.rate,
            models: Models::new(shelf, &config.hubs, client.clone()),
            sender: Sender::new(ledger.clone(), config.key.clone(), config.chain_id),
            key: config.key,
            client,
            ledger,
            store: Store::open(&config.directory.join("auditor.redb"), &[PROGRESS])?,
            counts: Counts::default(),
        });
        let router = Router::new().route("/status", get(status)).with_state(Arc::clone(&desk));
        let server = Server::start(config.listen, router, Limits::default()).await?;
        let following = tokio::spawn(async move { desk.follow().await });
        Ok(Self { server, following })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub async fn stop(self) {
        self.following.abort();
        self.server.stop().await;
    }
}

async fn status(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Json(json!({
        "role": "auditor",
        "key": desk.key.public_key().to_string(),
        "chain_id": desk.chain_id,
        "rate": desk.rate,
        "epoch": read(&desk.counts.epoch),
        "equal": read(&desk.counts.equal),
        "challenged": read(&desk.counts.challenged),
        "withheld": read(&desk.counts.withheld),
        "failed": read(&desk.counts.failed),
    }))
}

impl Desk {
    /// Goes through the certified epochs in order; an epoch is done when each of its receipts is.
    async fn follow(&self) {
        let mut next = self.progress();
        loop {
            let latest = match self.ledger.latest_epoch().await {
                Ok(latest) => latest.record.epoch,
                Err(error) => {
                    tracing::debug!(%error, "no epoch yet");
                    0
                }
            };
            while next <= latest {
                match self.audit_epoch(next).await {
                    Ok(()) => next = next.saturating_add(1),
                    Err(error) => {
                        tracing::warn!(epoch = next, %error, "failed to audit an epoch, trying again");
                        break;
                    }
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn progress(&self) -> u64 {
        let stored = self.store.get(PROGRESS, NEXT_EPOCH).ok().flatten();
        stored.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?))).unwrap_or(0)
    }

    async fn audit_epoch(&self, epoch: u64) -> Result<(), NetworkError> {
        let receipts = self.ledger.epoch_receipts(epoch).await?;
        let sampled = receipts.into_iter().filter(|view| {
            view.status.standing == Standing::Anchored
                && is_sampled(&self.secret, &view.receipt.receipt.id(), self.rate)
        });
        let audits = stream::iter(sampled).map(|view| self.audit(view)).buffer_unordered(PARALLEL);
        audits.collect::<Vec<()>>().await;
        self.counts.epoch.store(epoch, Ordering::Relaxed);
        let next = epoch.saturating_add(1).to_be_bytes();
        if let Err(error) = self.store.commit(vec![Change::put(PROGRESS, NEXT_EPOCH, next)]).await {
            // After a restart this epoch is audited again: harmless, reports are counted once.
            tracing::warn!(%error, "failed to note progress");
        }
        Ok(())
    }

    async fn audit(&self, view: ReceiptView) {
        let id = view.receipt.receipt.id();
        let action = match self.opening(&view).await {
            Some(opening) => self.judged(&view, opening).await,
            None => {
                self.counts.withheld.fetch_add(1, Ordering::Relaxed);
                Some(Action::Challenge(Challenge { receipt: id, opening: None }))
            }
        };
        let Some(action) = action else { return };
        let what = action.word();
        match self.sender.send(action).await {
            Ok(_) => tracing::info!(receipt = %id, what, "sent"),
            Err(error) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(receipt = %id, what, %error, "failed to send");
            }
        }
    }

    async fn judged(&self, view: &ReceiptView, opening: Opening) -> Option<Action> {
        let receipt = view.receipt.receipt.clone();
        let id = receipt.id();
        let model = match self.models.get(receipt.model).await {
            Ok(model) => model,
            Err(error) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(receipt = %id, %error, "cannot audit without the model");
                return None;
            }
        };
        let judging = tokio::task::spawn_blocking(move || {
            let judgement = judge(&model, &receipt, &opening);
            (judgement, opening)
        });
        let (judgement, opening) = judging.await.ok()?;
        match judgement {
            Judgement::Equal => {
                self.counts.equal.fetch_add(1, Ordering::Relaxed);
                Some(Action::ReportAudit(ReportAudit { receipt: id }))
            }
            Judgement::False(difference) => {
                self.counts.challenged.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(receipt = %id, ?difference, "false receipt");
                Some(Action::Challenge(Challenge { receipt: id, opening: Some(opening) }))
            }
            Judgement::OtherOpening(field) => {
                self.counts.withheld.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(receipt = %id, field, "the worker sent another opening");
                Some(Action::Challenge(Challenge { receipt: id, opening: None }))
            }
        }
    }

    /// The opening, if the worker gives one within its tries.
    async fn opening(&self, view: &ReceiptView) -> Option<Opening> {
        for wait in OPENING_WAITS {
            tokio::time::sleep(wait).await;
            let worker = view.receipt.receipt.worker;
            let nodes = self.ledger.nodes().await.unwrap_or_default();
            let Some(node) = nodes.iter().find(|node| node.node == worker && node.role == Role::Worker) else {
                continue;
            };
            let id = view.receipt.receipt.id();
            match fetch_opening(&self.client, &node.endpoint, self.chain_id, id, &self.key).await {
                Ok(opening) => return Some(opening),
                Err(error) => tracing::debug!(receipt = %id, %error, "no opening"),
            }
        }
        None
    }
}

/// Asks the worker at `endpoint` for a receipt's opening, as the registered node that holds `key`.
pub async fn fetch_opening(
    client: &Client,
    endpoint: &str,
    chain_id: u64,
    receipt: Digest,
    key: &SigningKey,
) -> Result<Opening, NetworkError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let asked_at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let request = OpeningRequest { version: Version, chain_id, receipt, auditor: key.public_key(), asked_at_ms };
    client.post(&format!("{endpoint}/openings"), &request.sign(key)).await
}
