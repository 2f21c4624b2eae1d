//! The worker as a node: takes jobs, opens evidence to auditors, answers challenges, forgets what has expired.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use crypto::SigningKey;
use futures::StreamExt as _;
use hub::{Models, Shelf};
use network::{
    Client, LedgerClient, Limits, NetworkError, Noun, Sender, Server as Listener,
    axum::{
        Json, Router,
        body::Body,
        extract::State,
        response::{IntoResponse as _, Response},
        routing::{get, post},
    },
    now_ms,
};
use protocol::{KeyRecord, Role, registry::OPEN_END, request::OPENING_BYTES_MAX, service::SignedJob};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    adversary::Adversary,
    chain::Chain,
    config::{Config, WorkerError},
    defence::defend,
    evidence::Evidence,
    following::Follower,
    jobs::{Desk, MEMORY_MS, WAITING_MAX},
    lifetime::Lifetime,
    loading::load_all,
    memory::cache_bytes,
    openings::{open, turnstile},
    registry::Registry,
    served::Serving,
    shares::Shares,
};

/// Connections at a time; each may hold one job, so this bounds the memory that waiting jobs take.
const CONNECTIONS: usize = 256;
const SWEEP: Duration = Duration::from_secs(1);

/// A running worker; dropping it stops it.
pub struct Worker {
    server: Listener,
    desk: Arc<Desk>,
    tasks: JoinSet<()>,
}

impl Worker {
    /// Loads its models, waits until the ledger knows the worker's key, then takes jobs.
    pub async fn start(config: Config) -> Result<Self, WorkerError> {
        try_listen(config.listen)?;
        // Before anything is fetched.
        cache_bytes(config.cache_bytes, 1, config.models.len())?;
        let client = Client::default();
        let ledger = LedgerClient::new(client.clone(), &config.validators);
        let evidence = Evidence::open(&config.directory.join("evidence.redb"), config.sealer.clone())?;
        let shelf = Shelf::open(&config.directory.join("models"))?;
        let shelf = shelf.with_threads(config.threads).with_work_max(config.work_max);
        let models = Models::new(shelf, &config.hubs, client);
        let served = load_all(&models, &config).await?;
        let record = registered(&ledger, &config.key).await?;
        let now = now_ms();
        let taken = evidence.answered_since(now.saturating_sub(MEMORY_MS))?;
        let desk = Arc::new(Desk {
            chain_id: config.chain_id,
            key: config.key.clone(),
            node: record.node,
            key_valid_from: record.valid_from,
            adversary: config.adversary,
            places: Shares::new(config.places.max(1), served.keys()),
            waiting: Shares::new(WAITING_MAX, served.keys()),
            models: Serving::new(served),
            registry: Registry::new(ledger.clone()),
            turnstile: turnstile(),
            chain: tokio::sync::Mutex::new(evidence.chain()?),
            evidence: evidence.clone(),
            taken: std::sync::Mutex::new(taken.into_iter().map(|job| (job, now)).collect()),
        });
        let limits = Limits { body_bytes: OPENING_BYTES_MAX, connections: CONNECTIONS, ..Limits::default() };
        let server = Listener::start(config.listen, router(Arc::clone(&desk)), limits).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(sweep(evidence, ledger.clone(), config.evidence));
        let sender = Sender::new(ledger.clone(), config.key.clone(), config.chain_id);
        if config.adversary != Some(Adversary::Withhold) {
            tasks.spawn(defend(ledger.clone(), sender.clone(), Arc::clone(&desk)));
        }
        if let Some(wanted) = config.wanted.clone() {
            let follower = Follower { desk: Arc::clone(&desk), models, ledger, sender, config };
            tasks.spawn(follower.run(wanted));
        }
        Ok(Self { server, desk, tasks })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where its chain of receipts stands.
    pub async fn chain(&self) -> Chain {
        *self.desk.chain.lock().await
    }

    pub async fn stop(mut self) {
        self.tasks.abort_all();
        self.server.stop().await;
    }
}

/// Whether it can listen there: what it needs before takes long, and nobody should wait to be told that it cannot.
fn try_listen(address: SocketAddr) -> Result<(), NetworkError> {
    let failed =
        |error: std::io::Error| NetworkError::Listen { address: address.to_string(), cause: error.to_string() };
    TcpListener::bind(address).map(drop).map_err(failed)
}

/// What the ledger holds about the key; waits for a registration that is under way, and says so once.
async fn registered(ledger: &LedgerClient, key: &SigningKey) -> Result<KeyRecord, WorkerError> {
    let mut is_told = false;
    let record = loop {
        match ledger.key(&key.public_key()).await {
            Ok(record) => break record,
            Err(error) if error.is_transient() || error.code() == Some("unknown_key") => {
                if error.is_transient() || is_told {
                    tracing::debug!(%error, "waiting to be registered");
                } else {
                    tracing::error!("waiting to be registered; hint: og node register enters it into the ledger");
                    is_told = true;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    if record.role != Role::Worker {
        return Err(WorkerError::NotAWorker { found: record.role });
    }
    if record.valid_until != OPEN_END {
        return Err(WorkerError::Retired { until: record.valid_until });
    }
    Ok(record)
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/jobs", post(take_job))
        .route("/openings", post(open))
        .route("/status", get(status))
        .with_state(desk)
}

async fn take_job(State(desk): State<Arc<Desk>>, Noun(job): Noun<SignedJob>) -> Response {
    let frames = desk.serve(job);
    let stream = futures::stream::unfold(frames, |mut frames: mpsc::Receiver<_>| async move {
        frames.recv().await.map(|frame| (frame, frames))
    });
    Body::from_stream(stream.map(Ok::<_, Infallible>)).into_response()
}

async fn status(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let chain = *desk.chain.lock().await;
    Json(json!({
        "role": "worker",
        "node": desk.node.to_string(),
        "key": desk.key.public_key().to_string(),
        "chain_id": desk.chain_id,
        "receipts": chain.sequence,
        "places": desk.places.all(),
        "free_places": desk.places.free(),
        "waiting": WAITING_MAX.saturating_sub(desk.waiting.free()),
        "models": Value::Object(desk.models.all().iter().map(|(root, served)| (root.to_string(), served.status())).collect()),
        "adversary": desk.adversary.map(Adversary::word),
    }))
}

/// Deletes evidence that is no longer needed, for ever.
async fn sweep(evidence: Evidence, ledger: LedgerClient, lifetime: Lifetime) {
    loop {
        tokio::time::sleep(SWEEP).await;
        match over_before(&evidence, &ledger, lifetime).await {
            Ok(before_ms) => delete(&evidence, before_ms).await,
            Err(error) => tracing::debug!(%error, "cannot see how far the ledger is: evidence is kept"),
        }
    }
}

async fn delete(evidence: &Evidence, before_ms: u64) {
    loop {
        match evidence.sweep(before_ms).await {
            Ok(0) => return,
            Ok(count) => tracing::debug!(count, "evidence deleted"),
            Err(error) => return tracing::warn!(%error, "failed to delete evidence"),
        }
    }
}

/// The moment before which answers must have ended for their evidence to be deleted; asks the ledger only where the
/// clock says that something is due.
async fn over_before(evidence: &Evidence, ledger: &LedgerClient, lifetime: Lifetime) -> Result<u64, WorkerError> {
    let now = now_ms();
    if evidence.oldest_ms()?.is_none_or(|oldest| oldest >= lifetime.due_before(now)) {
        return Ok(0);
    }
    let latest = ledger.latest_epoch().await?.record.epoch;
    let Some(epoch) = latest.checked_sub(lifetime.epochs) else { return Ok(0) };
    let ledger_ms = ledger.epoch(epoch).await?.record.time_ms;
    Ok(lifetime.over_before(now, ledger_ms))
}
