//! Assembly: opens the outbox, starts the tasks, listens.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use crypto::SigningKey;
use network::{Client, LedgerClient, Limits, NetworkError, Sender, Server};
use thiserror::Error;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    directory::Directory,
    http,
    metrics::Metrics,
    outbox::{Outbox, OutboxError},
    pace::Pace,
    shared::Shared,
    vocabulary::Vocabularies,
};

/// What a gateway needs to start.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    /// Signs jobs and transactions; registered on the ledger as a gateway's.
    pub key: SigningKey,
    pub chain_id: u64,
    /// Base addresses of the form `http://host:port`.
    pub validators: Vec<String>,
    /// Base addresses of hubs, to check that text is what its tokens say; without any, text is passed on unchecked.
    pub hubs: Vec<String>,
    /// Where receipts are kept until the ledger has them.
    pub directory: PathBuf,
    pub pace: Pace,
}

/// Why a gateway did not start.
#[derive(Debug, Error)]
pub enum GatewayError {
    #[error("failed to open the outbox: {0}")]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl GatewayError {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Outbox(_) => "is another gateway running on the same directory?",
            Self::Network(_) => "is the address taken?",
        }
    }
}

/// A running gateway; dropping it stops it.
pub struct Gateway {
    server: Server,
    tasks: JoinSet<()>,
    shared: Arc<Shared>,
}

impl Gateway {
    /// Starts with whatever the validators say now; it serves as soon as one of them has answered.
    pub async fn start(config: Config) -> Result<Self, GatewayError> {
        let pace = config.pace;
        let ledger = LedgerClient::new(Client::new(pace.validator_wait), &config.validators);
        let outbox = Outbox::open(&outbox_path(&config.directory), pace)?;
        let sender = Sender::new(ledger.clone(), config.key.clone(), config.chain_id);
        let shared = Arc::new(Shared {
            key: config.key,
            chain_id: config.chain_id,
            pace,
            workers: Client::new(pace.worker_wait),
            directory: Arc::new(Directory::new(ledger.clone())),
            vocabularies: Vocabularies::new(config.hubs, Client::new(pace.hub_wait)),
            ledger: ledger.clone(),
            outbox: outbox.clone(),
            metrics: Arc::new(Metrics::default()),
            places: Arc::new(Semaphore::new(pace.requests_max)),
        });
        refresh(&shared).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(outbox.run(sender, ledger, Arc::clone(&shared.metrics)));
        tasks.spawn(keep_fresh(Arc::clone(&shared)));
        tasks.spawn(keep_vocabularies(Arc::clone(&shared)));
        let limits = Limits {
            body_bytes: api::limits::BODY_BYTES_MAX,
            connections: pace.connections,
            header_wait: pace.header_wait,
            ..Limits::default()
        };
        let server = Server::start(config.listen, http::routes(Arc::clone(&shared)), limits).await?;
        Ok(Self { server, tasks, shared })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Receipts that wait for the ledger.
    pub fn receipts_waiting(&self) -> usize {
        self.shared.outbox.len()
    }

    /// Stops listening, cuts open connections; what waits in the outbox is sent after the next start.
    pub async fn stop(mut self) {
        self.server.stop().await;
        self.tasks.shutdown().await;
    }
}

fn outbox_path(directory: &Path) -> PathBuf {
    directory.join("outbox.redb")
}

async fn refresh(shared: &Shared) {
    if let Err(error) = shared.directory.refresh().await {
        tracing::warn!(%error, "failed to refresh nodes and models; the last view stays");
    }
}

async fn keep_fresh(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(shared.pace.poll).await;
        refresh(&shared).await;
    }
}

/// Fetches each model's tokenizer before an answer needs it; apart from the ledger's view, which must not wait for hubs.
async fn keep_vocabularies(shared: Arc<Shared>) {
    loop {
        for model in &shared.directory.view().models {
            let _known_now = shared.vocabularies.of(&model.root).await;
        }
        tokio::time::sleep(shared.pace.poll).await;
    }
}
