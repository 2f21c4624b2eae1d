//! Assembly: opens the outbox, starts the tasks, listens.

use std::{fs::File, io, net::SocketAddr, path::PathBuf, sync::Arc};

use crypto::SigningKey;
use network::{Client, LedgerClient, Limits, NetworkError, Origins, Sender, Server, axum::Router, process::Program};
use storage::SyncData;
use thiserror::Error;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use crate::{
    contexts::Contexts,
    counting::{Counting, Setting},
    credit::Credit,
    directory::Directory,
    facilitator::{self, Booth},
    fair::Fair,
    http,
    outbox::{Outbox, OutboxError},
    pace::Pace,
    payment::{self, Desk, DeskError, Payments},
    posting::Posting,
    shared::Shared,
    vocabulary::Vocabularies,
    waits::Waits,
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
    /// The program whose call of `serve` is a process that counts prompts.
    pub counter: Program,
    pub pace: Pace,
    /// How it is paid; `None` answers everybody for nothing.
    pub payments: Option<Payments>,
    /// Whose pages may call it from a browser.
    pub origins: Origins,
    /// What else whoever starts it has it answer, at paths that are not its own; usually nothing.
    pub further: Router,
}

/// Why a gateway did not start.
#[derive(Debug, Error)]
pub enum GatewayError {
    #[error("failed to open the outbox: {0}")]
    Outbox(#[from] OutboxError),
    #[error("failed to start the outbox's thread: {0}")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Payments(#[from] DeskError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl GatewayError {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Outbox(_) => "is another gateway running on the same directory?",
            Self::Thread(_) => "how many threads may this user have (ulimit -u)?",
            Self::Payments(DeskError::Chains { .. }) => "are they the chains that are meant?",
            Self::Payments(_) => {
                "a payment journal that is damaged is never repaired by guessing: restore it from a copy"
            }
            Self::Network(_) => "is the address taken?",
        }
    }
}

/// A running gateway; dropping it stops it.
pub struct Gateway {
    server: Server,
    tasks: JoinSet<()>,
    posting: Posting,
    shared: Arc<Shared>,
}

impl Gateway {
    /// Starts with whatever the validators say now; it serves as soon as one of them has answered.
    pub async fn start(config: Config) -> Result<Self, GatewayError> {
        Self::start_with(config, File::sync_data).await
    }

    /// The same where the journal of payments reaches the disk by `sync`.
    pub async fn start_with(config: Config, sync: SyncData) -> Result<Self, GatewayError> {
        let pace = config.pace;
        let ledger = LedgerClient::new(Client::new(pace.validator_wait), &config.validators);
        let outbox = Outbox::open(&config.directory, pace)?;
        let directory = Arc::new(Directory::new(ledger.clone()));
        let open = |payments| {
            let (client, directory) = (Client::new(pace.validator_wait), Arc::clone(&directory));
            Desk::open(payments, pace, &config.directory, client, directory, sync).map(Arc::new)
        };
        let desk = config.payments.map(open).transpose()?;
        let beside = |desk: &Arc<Desk>| Booth::of_desk(desk, &config.directory).map(Arc::new);
        let booth = desk.as_ref().map(beside).transpose().map_err(DeskError::from)?;
        let metrics = Arc::default();
        let counting = Arc::new(Counting::new(Setting {
            program: config.counter,
            places: pace.counting_max,
            wait: pace.counting_wait,
            directory: Arc::clone(&directory),
            proven: config.directory.join("proven-models"),
            metrics: Arc::clone(&metrics),
        }));
        let hubs = Client::new(pace.hub_wait);
        let vocabularies = Vocabularies::new(config.hubs, hubs, Arc::clone(&counting), Arc::clone(&directory));
        let shared = Arc::new(Shared {
            key: config.key,
            chain_id: config.chain_id,
            pace,
            workers: Client::new(pace.worker_wait),
            directory,
            vocabularies: Arc::new(vocabularies),
            contexts: Contexts::default(),
            counting,
            ledger,
            outbox,
            credit: Arc::new(Credit::default()),
            metrics,
            desk: desk.clone(),
            booth: booth.clone(),
            places: Arc::new(Semaphore::new(pace.requests_max)),
            fair: Arc::new(Fair::new(pace.requests_max)),
            chain_waits: Waits::new(pace.chain_waits_max),
            large_bodies: Arc::new(Semaphore::new(pace.large_bodies_max)),
            large_waits: Arc::new(Semaphore::new(pace.large_bodies_max)),
        });
        hear_first(&shared).await;
        if let Some(desk) = &desk {
            desk.ask_rate().await;
        }
        let beside = Beside { shared: Arc::clone(&shared), validators: config.validators };
        let posting = Posting::start(move || beside.run())?;
        let mut tasks = JoinSet::new();
        if let Some(desk) = desk {
            tasks.spawn(payment::run(Arc::clone(&desk)));
            tasks.spawn(payment::keep_registry(Arc::clone(&shared), desk));
        }
        if let Some(booth) = booth {
            tasks.spawn(facilitator::look_after(booth));
        }
        know_models(&mut tasks, &shared);
        let limits = Limits {
            body_bytes: api::limits::INFER_BODY_BYTES_MAX,
            connections: pace.connections,
            header_wait: pace.header_wait,
            ..Limits::default()
        };
        let router = http::routes(Arc::clone(&shared)).merge(config.further);
        let router = config.origins.serve(router, &http::EXPOSED);
        let server = Server::start(config.listen, router, limits).await?;
        Ok(Self { server, tasks, posting, shared })
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
        self.posting.stop().await;
    }
}

/// What is long and nobody's to wait for.
struct Beside {
    shared: Arc<Shared>,
    validators: Vec<String>,
}

impl Beside {
    /// Works for ever. Its connections are its own, since they belong to the thread that makes them.
    async fn run(self) {
        let Self { shared, validators } = self;
        let client = || LedgerClient::new(Client::new(shared.pace.validator_wait), &validators);
        let (posts, reads) = (client(), client());
        let sender = Sender::new(posts.clone(), shared.key.clone(), shared.chain_id);
        let outbox = shared.outbox.clone().run(sender.clone(), posts.clone(), Arc::clone(&shared.metrics));
        let desk = async {
            let Some(desk) = shared.desk.clone() else { return };
            let payouts = payment::pay_out(Arc::clone(&desk), sender, posts, Arc::clone(&shared.credit));
            let follow = payment::follow(reads.clone(), shared.outbox.clone(), desk);
            let key = shared.key.public_key();
            tokio::join!(payouts, follow, shared.credit.keep(&key, &shared.outbox, &reads, shared.pace.poll));
        };
        tokio::join!(outbox, desk, keep_fresh(&shared, &reads));
    }
}

/// What the ledger says at the start, and whose our own key is there: that follows from the key alone only where it was never rotated. Once
/// known it is kept.
async fn hear_first(shared: &Shared) {
    refresh(&shared.directory, &shared.ledger).await;
    if shared.directory.view().seen_at.is_some() {
        let _is_asked_no_more = shared.directory.key(&shared.key.public_key()).await;
    }
}

async fn refresh(directory: &Directory, ledger: &LedgerClient) {
    if let Err(error) = directory.refresh(ledger).await {
        tracing::warn!(%error, "failed to refresh nodes and models; the last view stays");
    }
}

/// Keeps the view of the ledger, and tells the operator once when that has jailed this gateway.
async fn keep_fresh(shared: &Shared, ledger: &LedgerClient) {
    let (key, mut was_jailed) = (shared.key.public_key(), false);
    loop {
        let is_jailed = shared.directory.is_jailed(&key);
        if is_jailed && !was_jailed {
            tracing::error!(
                "this gateway is jailed: the ledger takes none of its receipts until its operator ends that, by og stake unjail when its term has come"
            );
        }
        was_jailed = is_jailed;
        tokio::time::sleep(shared.pace.poll).await;
        refresh(&shared.directory, ledger).await;
    }
}

/// Keeps up with what is to be known of models beside the ledger's list.
fn know_models(tasks: &mut JoinSet<()>, shared: &Arc<Shared>) {
    let kept = Arc::clone(shared);
    tasks.spawn(async move { kept.contexts.keep(&kept.directory).await });
    for are_served in [true, false] {
        tasks.spawn(keep_vocabularies(Arc::clone(shared), are_served));
    }
}

/// Fetches each model's tokenizer before an answer needs it; apart from the ledger's view, which must not wait for hubs, and those of models
/// that a worker serves apart from all others.
async fn keep_vocabularies(shared: Arc<Shared>, are_served: bool) {
    loop {
        let view = shared.directory.view();
        for model in view.models.iter().filter(|model| view.is_served(&model.root) == are_served) {
            // One whose tokenizer takes longer goes on by itself.
            let _known_now = timeout(shared.pace.hub_wait, shared.vocabularies.keep(&model.root)).await;
            // Those that are known are many, and known at once.
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(shared.pace.poll).await;
    }
}
