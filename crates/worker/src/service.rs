//! The worker as a node: takes jobs, opens evidence to auditors, answers challenges, forgets what has expired.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crypto::{Digest, SigningKey};
use engine::{
    Model,
    serve::{ServeError, Server},
};
use float::{Limits as FloatLimits, Runtime};
use futures::StreamExt as _;
use hub::{Models, ModelsError, Shelf, ShelfError};
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
use storage::Sealer;
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    adversary::Adversary,
    chain::Chain,
    defence::defend,
    evidence::{Evidence, EvidenceError},
    jobs::{Desk, MEMORY_MS, Served, WAITING_MAX},
    lifetime::Lifetime,
    openings::{open, turnstile},
    registry::Registry,
    serving::{Follower, Serving},
    shares::Shares,
};

/// Connections at a time; each may hold one job, so this bounds the memory that waiting jobs take.
const CONNECTIONS: usize = 256;
const SWEEP: Duration = Duration::from_secs(1);

/// What a worker needs to start.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub directory: PathBuf,
    pub chain_id: u64,
    pub key: SigningKey,
    /// Seals evidence at rest.
    pub sealer: Sealer,
    /// Base addresses of validators and hubs.
    pub validators: Vec<String>,
    pub hubs: Vec<String>,
    /// Models to serve: loaded before the first job.
    pub models: Vec<Digest>,
    /// What its operator wants it to serve instead, from then on.
    pub wanted: Option<watch::Receiver<Vec<Digest>>>,
    /// Jobs that run at the same time.
    pub places: usize,
    /// Threads that each model runs on; no answer depends on it.
    pub threads: usize,
    /// How long an opening is kept.
    pub evidence: Lifetime,
    /// Work of the largest receipt that the network's rules let be judged (`specs/evidence.md`, *Work*): what would be larger is refused.
    pub work_max: u64,
    /// What runs models without an exact form.
    pub float: float::Program,
    pub adversary: Option<Adversary>,
}

/// Why a worker did not start.
#[derive(Debug, Error)]
pub enum WorkerError {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Models(#[from] hub::ModelsError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Float(#[from] float::RuntimeError),
    #[error("the start of a model was interrupted")]
    Interrupted,
    #[error("the list of models is too long: {0}; hint: start another worker")]
    TooMany(#[from] protocol::TooLong),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the ledger holds this key for a {found}, a worker's expected; hint: start it with its own key")]
    NotAWorker { found: Role },
    #[error("the ledger retired this key in epoch {until}; hint: start it with the key that replaced it")]
    Retired { until: u64 },
}

/// A running worker; dropping it stops it.
pub struct Worker {
    server: Listener,
    desk: Arc<Desk>,
    tasks: JoinSet<()>,
}

impl Worker {
    /// Loads its models, waits until the ledger knows the worker's key, then takes jobs.
    pub async fn start(config: Config) -> Result<Self, WorkerError> {
        let client = Client::default();
        let ledger = LedgerClient::new(client.clone(), &config.validators);
        let evidence = Evidence::open(&config.directory.join("evidence.redb"), config.sealer.clone())?;
        let shelf = Shelf::open(&config.directory.join("models"))?;
        let shelf = shelf.with_threads(config.threads).with_work_max(config.work_max);
        let models = Models::new(shelf, &config.hubs, client);
        let mut served = BTreeMap::new();
        for root in &config.models {
            served.insert(*root, load(&models, *root, &config).await?);
        }
        let record = registered(&ledger, &config.key).await?;
        let now = now_ms();
        let taken = evidence.answered_since(now.saturating_sub(MEMORY_MS))?;
        let desk = Arc::new(Desk {
            chain_id: config.chain_id,
            key: config.key.clone(),
            node: record.node,
            key_valid_from: record.valid_from,
            adversary: config.adversary,
            models: Serving::new(served),
            registry: Registry::new(ledger.clone()),
            turnstile: turnstile(),
            chain: tokio::sync::Mutex::new(evidence.chain()?),
            evidence: evidence.clone(),
            places: Shares::new(config.places.max(1), config.models.iter()),
            waiting: Shares::new(WAITING_MAX, config.models.iter()),
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

/// A model, ready to be served.
pub(crate) async fn load(models: &Models, root: Digest, config: &Config) -> Result<Served, WorkerError> {
    let model = fetched(models, root).await?;
    tell_context(&model);
    serve(model, config).await
}

/// Says where the network's rules leave less of a model than it was made for.
fn tell_context(model: &Model) {
    let Some(language) = model.as_language() else { return };
    let (context, own, root) = (language.context(), language.own_context(), model.root());
    if context <= 1 {
        tracing::error!(model = %root, "no answer of this model can be judged on this network: all are refused");
    } else if context < own {
        tracing::warn!(model = %root, context, own, "longer texts of this model cannot be judged on this network");
    }
}

/// Starts what runs a model: the server of a language model, with as many places as the worker has, or a float runtime.
async fn serve(model: Arc<Model>, config: &Config) -> Result<Served, WorkerError> {
    if let Some(file) = model.as_float().cloned() {
        let (program, limits) = (config.float.clone(), FloatLimits::of(file.len()));
        let starting = tokio::task::spawn_blocking(move || Runtime::start(program, file, limits));
        let started = starting.await.map_err(|_| WorkerError::Interrupted)??;
        return Ok(Served::Float(Arc::new(started)));
    }
    if model.as_language().is_none() {
        return Ok(Served::Tensors(model));
    }
    let places = config.places.max(1);
    let limits = engine::serve::Limits { texts: places, waiting: places, ..Default::default() };
    Ok(Served::Language(Arc::new(Server::start(model, limits)?)))
}

/// The model; waits for a hub that is not up yet, because the nodes of a network start in any order.
async fn fetched(models: &Models, root: Digest) -> Result<Arc<Model>, ModelsError> {
    loop {
        match models.get(root).await {
            Err(ModelsError::Fetch { source, .. }) if source.is_transient() => {
                tracing::info!(%source, "waiting for a hub");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            answer => return answer,
        }
    }
}

/// What the ledger holds about the key; waits for a registration that is under way.
async fn registered(ledger: &LedgerClient, key: &SigningKey) -> Result<KeyRecord, WorkerError> {
    let record = loop {
        match ledger.key(&key.public_key()).await {
            Ok(record) => break record,
            Err(error) if error.is_transient() || error.code() == Some("unknown_key") => {
                tracing::info!(%error, "waiting to be registered");
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
