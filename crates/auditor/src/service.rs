//! The auditor as a node: its key, its sample, its status; following, auditing and the pursuit of lies run beside.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crypto::{SigningKey, hash};
use hub::{Models, Shelf, ShelfError};
use network::{
    Client, LedgerClient, Limits, NetworkError, Sender, Server,
    axum::{Json, Router, extract::State, routing::get},
};
use serde_json::{Value, json};
use storage::StoreError;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::{
    desk::{Counts, Desk, Workers},
    follow::follow,
    judges::{Bounds, Judges, Program, Windows},
    lies::Lies,
    marks::Marks,
    openings::Openings,
    pursue::pursue,
};

/// How long any other node may take for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// What an auditor needs to start.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub directory: PathBuf,
    pub chain_id: u64,
    pub key: SigningKey,
    pub validators: Vec<String>,
    pub hubs: Vec<String>,
    /// The program whose processes judge; without one this process does.
    pub judge: Option<Program>,
    /// What the network's rules leave for judging.
    pub windows: Windows,
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

/// A running auditor; dropping it stops it.
pub struct Auditor {
    server: Server,
    following: JoinSet<()>,
}

impl Auditor {
    pub async fn start(config: Config) -> Result<Self, AuditorError> {
        let client = Client::new(DEADLINE);
        let ledger = LedgerClient::new(client.clone(), &config.validators);
        let shelf = Shelf::open(&config.directory.join("models"))?.with_work_max(config.windows.work_max);
        let models = Models::new(shelf, &config.hubs, client.clone());
        let desk = Arc::new(Desk {
            chain_id: config.chain_id,
            secret: hash("og/audit/secret/v1", &[&config.key.seed()]).0,
            rate: config.rate,
            judges: Judges::new(models, config.judge, Bounds::of(config.windows)),
            sender: Sender::new(ledger.clone(), config.key.clone(), config.chain_id),
            key: config.key,
            client,
            ledger,
            marks: Marks::open(&config.directory.join("auditor.redb"))?,
            lies: Lies::open(&config.directory.join("lies.redb"))?,
            openings: Openings::open(&config.directory.join("openings.redb"))?,
            counts: Counts::default(),
            workers: Workers::default(),
        });
        let router = Router::new().route("/status", get(status)).with_state(Arc::clone(&desk));
        let server = Server::start(config.listen, router, Limits::default()).await?;
        let mut following = JoinSet::new();
        following.spawn(follow(Arc::clone(&desk)));
        following.spawn(pursue(desk));
        Ok(Self { server, following })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub async fn stop(mut self) {
        self.following.shutdown().await;
        self.server.stop().await;
    }
}

async fn status(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let tally = desk.judges.tally();
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
        "missed": read(&desk.counts.missed),
        "unjudged": read(&desk.counts.unjudged),
        "judges": {
            "judged": tally.judged,
            "too_slow": tally.too_slow,
            "ended": tally.ended,
            "given_up": tally.given_up,
            "short": tally.short,
            "work_rate": tally.work_rate,
        },
        "lies": desk.lies.len(),
        "not_auditable": read(&desk.counts.not_auditable),
        "pending": read(&desk.counts.pending),
    }))
}
