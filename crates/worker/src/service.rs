//! The worker as a node: takes jobs, opens evidence to auditors, answers challenges, forgets what has expired.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crypto::{Digest, SigningKey};
use futures::StreamExt as _;
use hub::{Models, Shelf, ShelfError};
use network::{
    Client, LedgerClient, Limits, NetworkError, Noun, Refusal, Sender, Server,
    axum::{
        Json, Router,
        body::Body,
        extract::State,
        http::StatusCode,
        response::{IntoResponse as _, Response},
        routing::{get, post},
    },
};
use protocol::{
    Action, Opening, Role, SignedReceipt,
    request::OPENING_BYTES_MAX,
    service::{SignedJob, SignedOpeningRequest},
    transaction::Respond,
};
use serde_json::{Value, json};
use storage::Sealer;
use thiserror::Error;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    adversary::Adversary,
    chain::{Chain, own_node},
    evidence::{Evidence, EvidenceError},
    jobs::{Desk, WAITING_MAX},
    registry::Registry,
};

/// Between two looks at the ledger's open challenges.
const CHALLENGE_POLL: Duration = Duration::from_millis(500);
/// An opening request older or newer than this is refused.
const OPENING_AGE_MS_MAX: u64 = 60_000;

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
    /// Models to have loaded before the first job.
    pub models: Vec<Digest>,
    /// Jobs that run at the same time.
    pub places: usize,
    /// How long an opening is kept.
    pub evidence_ms: u64,
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
    Network(#[from] NetworkError),
}

/// A running worker; dropping it stops it.
pub struct Worker {
    server: Server,
    desk: Arc<Desk>,
    tasks: JoinSet<()>,
}

impl Worker {
    /// Waits until the ledger knows the worker's key, loads its models, then takes jobs.
    pub async fn start(config: Config) -> Result<Self, WorkerError> {
        let client = Client::default();
        let ledger = LedgerClient::new(client.clone(), &config.validators);
        let evidence = Evidence::open(&config.directory.join("evidence.redb"), config.sealer.clone())?;
        let models = Models::new(Shelf::open(&config.directory.join("models"))?, &config.hubs, client);
        for root in &config.models {
            models.get(*root).await?;
        }
        let key_valid_from = registered_since(&ledger, &config.key).await?;
        let desk = Arc::new(Desk {
            chain_id: config.chain_id,
            key: config.key.clone(),
            key_valid_from,
            adversary: config.adversary,
            evidence_ms: config.evidence_ms,
            models,
            registry: Registry::new(ledger.clone()),
            chain: tokio::sync::Mutex::new(evidence.chain()?),
            evidence: evidence.clone(),
            places: Arc::new(Semaphore::new(config.places.max(1))),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            taken: std::sync::Mutex::default(),
        });
        let limits = Limits { body_bytes: OPENING_BYTES_MAX, ..Limits::default() };
        let server = Server::start(config.listen, router(Arc::clone(&desk)), limits).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(sweep(evidence));
        if config.adversary != Some(Adversary::Withhold) {
            let sender = Sender::new(ledger.clone(), config.key, config.chain_id);
            tasks.spawn(respond(ledger, sender, Arc::clone(&desk)));
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

/// The epoch since which the ledger holds the key; waits for a registration that is under way.
async fn registered_since(ledger: &LedgerClient, key: &SigningKey) -> Result<u64, NetworkError> {
    loop {
        match ledger.key(&key.public_key()).await {
            Ok(record) => return Ok(record.valid_from),
            Err(error) if error.is_transient() || error.code() == Some("unknown_key") => {
                tracing::info!(%error, "waiting to be registered");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(error) => return Err(error),
        }
    }
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

async fn open(
    State(desk): State<Arc<Desk>>,
    Noun(signed): Noun<SignedOpeningRequest>,
) -> Result<Noun<Opening>, Refusal> {
    let request = &signed.request;
    let fresh = now_ms().abs_diff(request.asked_at_ms) <= OPENING_AGE_MS_MAX;
    if request.chain_id != desk.chain_id || !fresh || !signed.signature_holds() {
        let message = "the request is for another chain, too old, or not signed by the auditor that it names";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorised", message));
    }
    match desk.registry.allows(&request.auditor, &[Role::Auditor, Role::Validator]).await {
        Ok(true) => {}
        Ok(false) => {
            let message = "only registered auditors and validators may ask for openings";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
        }
        Err(error) => return Err(Refusal::unavailable("ledger_unavailable", error.to_string())),
    }
    let kept =
        if desk.adversary == Some(Adversary::Withhold) { Ok(None) } else { desk.evidence.opening(&request.receipt) };
    match kept {
        Ok(Some(opening)) => Ok(Noun(opening)),
        Ok(None) => Err(Refusal::not_found("unknown_opening", format!("no opening is kept for {}", request.receipt))
            .with_hint("openings are deleted after the challenge window")),
        Err(error) => Err(Refusal::unavailable("storage", error.to_string())),
    }
}

async fn status(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let chain = *desk.chain.lock().await;
    Json(json!({
        "role": "worker",
        "node": own_node(&desk.key).to_string(),
        "key": desk.key.public_key().to_string(),
        "chain_id": desk.chain_id,
        "receipts": chain.sequence,
        "free_places": desk.places.available_permits(),
        "adversary": desk.adversary.map(Adversary::word),
    }))
}

/// Deletes expired evidence, for ever.
async fn sweep(evidence: Evidence) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Err(error) = evidence.sweep(now_ms()).await {
            tracing::warn!(%error, "failed to delete expired evidence");
        }
    }
}

/// Opens on the ledger what was challenged as withheld.
async fn respond(ledger: LedgerClient, sender: Sender, desk: Arc<Desk>) {
    let mut answered = std::collections::BTreeSet::new();
    loop {
        tokio::time::sleep(CHALLENGE_POLL).await;
        let Ok(challenges) = ledger.challenges().await else { continue };
        for challenge in challenges {
            let id = challenge.receipt.receipt.id();
            if challenge.opening.is_none() && is_mine(&desk, &challenge.receipt) && answered.insert(id) {
                answer_challenge(&sender, &desk, id).await;
            }
        }
        if answered.len() > 10_000 {
            answered.clear();
        }
    }
}

fn is_mine(desk: &Desk, receipt: &SignedReceipt) -> bool {
    receipt.receipt.worker_key == desk.key.public_key()
}

async fn answer_challenge(sender: &Sender, desk: &Desk, receipt: Digest) {
    match desk.evidence.opening(&receipt) {
        Ok(Some(opening)) => {
            if let Err(error) = sender.send(Action::Respond(Respond { receipt, opening })).await {
                tracing::warn!(%receipt, %error, "failed to respond to a challenge");
            }
        }
        Ok(None) => tracing::warn!(%receipt, "challenged, and the opening is gone"),
        Err(error) => tracing::warn!(%receipt, %error, "challenged, and the opening cannot be read"),
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
