//! The validator as a node: agreement on its own threads, the interface and the votes on the caller's runtime.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use auditor::{Bounds, Judges, Program, Windows};
use consensus::{Archive, Chain, Pacing, Seat};
use crypto::{SigningKey, threshold::GroupKey};
use hub::{Models, Shelf, ShelfError};
use ledger::{Genesis, Ledger};
use network::{Client, Limits, NetworkError, Origins, Server, now_ms};
use protocol::{NetworkKeys, Noun as _, Role, Text, Trust, Version};
use thiserror::Error;
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    burns::{self, Base},
    desk::{ASKING_AT_ONCE, Desk, EPOCHS_AT_ONCE},
    failure::NodeError,
    front,
    node::{Node, oldest_block},
    relay,
    routes::router,
    seats::{self, Announcer},
    snapshot,
    sync::{self, Sync, SyncError},
    vote,
};

/// What a validator needs to start.
#[derive(Clone)]
pub struct Config {
    /// Where the interface listens.
    pub listen: SocketAddr,
    /// Where wallets and contracts' clients find Ethereum's JSON-RPC.
    pub ethereum_listen: SocketAddr,
    /// What JSON-RPC says of this node.
    pub client: String,
    /// Where agreement listens, and where the other validators' agreement is reached.
    pub agreement_listen: SocketAddr,
    pub agreement_peers: Vec<([u8; 32], SocketAddr)>,
    pub directory: PathBuf,
    pub key: SigningKey,
    /// This validator's share of the network key, empty if it sits later, and the public polynomial of those that sit first.
    pub share: Vec<u8>,
    pub polynomial: Vec<u8>,
    pub network_key: GroupKey,
    pub network: String,
    pub genesis: Genesis,
    pub hubs: Vec<String>,
    /// The program whose processes judge challenged receipts; without one this process does.
    pub judge: Option<Program>,
    /// How many of the newest blocks are kept; all of them if absent.
    pub keep_blocks: Option<u64>,
    /// Others whose state it may begin from: where it has none, and the blocks before are gone.
    pub sync: Vec<String>,
    /// Whether an empty directory begins from them, instead of executing every block since the genesis.
    pub begins_from_others: bool,
    /// Where it reads Base, to tell what was destroyed there for the ledger; without it, it leaves that to the others.
    pub base: Option<Base>,
    /// Whose pages may ask its JSON-RPC from a browser.
    pub origins: Origins,
}

/// Why a validator did not start, or does not go on.
#[derive(Debug, Error)]
pub enum ValidatorError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Agreement(#[from] consensus::StartError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the network's name is too long: {0}")]
    Name(protocol::TooLong),
    #[error("starting was interrupted")]
    Interrupted,
    /// It ran, and cannot go on.
    #[error(transparent)]
    Ended(#[from] consensus::Failed),
}

/// A running validator.
pub struct Validator {
    server: Server,
    ethereum: rpc::Server,
    desk: Arc<Desk>,
    /// Votes, transactions on their way to others, and burns on Base.
    tasks: Vec<JoinHandle<()>>,
}

impl Validator {
    pub async fn start(config: Config) -> Result<Self, ValidatorError> {
        begin_from_others(&config).await?;
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || {
            Node::new(&opening.genesis, opening.key, Some(&opening.directory), opening.keep_blocks, Some(now_ms))
        });
        let node = Arc::new(opened.await.map_err(|_| ValidatorError::Interrupted)??);
        let trust = Trust {
            version: Version,
            network: Text::new(config.network.clone()).map_err(ValidatorError::Name)?,
            chain_id: config.genesis.chain_id,
            network_key: config.network_key,
        };
        let windows = windows(&config.genesis.rules);
        let shelf = Shelf::open(&config.directory.join("models"))?.with_work_max(windows.work_max);
        let models = Models::new(shelf, &config.hubs, Client::default());
        let judges = Judges::new(models, config.judge.clone(), Bounds::of(windows));
        if turns(&config) {
            node.announces(Announcer { agreement: config.agreement_listen });
        }
        let application = Arc::clone(&node);
        let followed: Vec<[u8; 96]> = node.ledger().rotations().map(|certified| certified.rotation.key.0).collect();
        let network_keys = [vec![config.network_key.0], followed].concat();
        let agreement_config = consensus::Config { network_keys, ..agreement(&config) };
        let started =
            tokio::task::spawn_blocking(move || consensus::Validator::start(agreement_config, application)).await;
        let agreement = started.map_err(|_| ValidatorError::Interrupted)??;
        let (outbox, sending) = relay::send(agreement.requests());
        let taker = Arc::downgrade(&node);
        let take = move |message: &[u8]| taker.upgrade().map(|node| node.take_shared(message));
        let inbox = relay::receive(take).map_err(|_| ValidatorError::Interrupted)?;
        node.connect(outbox, inbox);
        let epochs = Arc::new(Semaphore::new(EPOCHS_AT_ONCE));
        let asking = Semaphore::new(ASKING_AT_ONCE);
        let genesis = protocol::Canonical::encode(&config.genesis).into();
        let keys = Mutex::new(NetworkKeys::pinned(trust.network_key));
        let (node_here, judges_here) = (Arc::clone(&node), judges.clone());
        let desk = Desk { node: node_here, agreement, trust, genesis, judges: judges_here, epochs, asking, keys };
        let desk = Arc::new(desk);
        let server = Server::start(config.listen, router(Arc::clone(&desk)), Limits::default()).await?;
        let served = Arc::new(front::served(&desk));
        let (listen, limits) = (config.ethereum_listen, rpc::Limits::default());
        let ethereum = rpc::Server::start_for(config.origins, listen, served, config.client, limits).await?;
        let reading = config.base.map(|base| tokio::spawn(burns::follow(Arc::clone(&node), base)));
        let tasks = [tokio::spawn(vote::follow(node, judges)), sending].into_iter().chain(reading).collect();
        Ok(Self { server, ethereum, desk, tasks })
    }

    /// Where Ethereum's clients find it.
    pub fn ethereum_url(&self) -> String {
        self.ethereum.url()
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn node(&self) -> &Arc<Node> {
        &self.desk.node
    }

    /// Resolves once agreement has ended here by itself, and says why: its disk failed, or its state is not to be relied on. It takes no
    /// part and answers nothing from then on, and a new start goes on from the disk.
    pub async fn ended(&self) -> ValidatorError {
        match self.desk.agreement.ended().await {
            Err(failed) => failed.into(),
            // Only whoever stops it ends it so.
            Ok(()) => std::future::pending().await,
        }
    }

    /// Stops the interface, then agreement; returns when the directory can be opened again.
    pub async fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.ethereum.stop().await;
        self.server.stop().await;
        let desk = self.desk;
        // The last holder stops agreement, which blocks until its threads have ended.
        let _ = tokio::task::spawn_blocking(move || drop(desk)).await;
    }
}

/// Loads others' state where there is none here and that is wished, or there is no other way: a node that began from others, or that
/// removed old blocks, and then lost its state, cannot execute from the genesis on.
async fn begin_from_others(config: &Config) -> Result<(), ValidatorError> {
    let directory = config.directory.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let file = snapshot::open(&directory)?;
        let is_begun = snapshot::is_begun(&file)?;
        file.close();
        let oldest = if is_begun { 0 } else { oldest_block(&directory)? };
        Ok::<_, NodeError>((is_begun, oldest))
    });
    let (is_begun, oldest) = looked.await.map_err(|_| ValidatorError::Interrupted)??;
    let must = sync::floor(&config.directory).is_some() || oldest > 0;
    let may = config.begins_from_others && !config.directory.join("agreement").exists();
    if is_begun || !(must || may) {
        return Ok(());
    }
    if config.sync.is_empty() && must {
        return Err(NodeError::Gone { path: config.directory.clone(), oldest }.into());
    }
    if must {
        tracing::warn!(oldest, "there is no state here and the blocks before are gone: beginning from others' state");
    }
    let begin = Ledger::new(&config.genesis).map_err(NodeError::Ledger)?;
    let agreement = agreement(config);
    let floor_holds = |network_keys: &[[u8; 96]], floor: &[u8]| {
        consensus::check_floor(&agreement.chain, &agreement.keys, network_keys, floor)
    };
    let sync = Sync {
        peers: &config.sync,
        directory: &config.directory,
        begin: &begin,
        network_key: &config.network_key,
        validators: config.genesis.nodes.iter().filter(|node| node.role == Role::Validator).count(),
        client: Client::default(),
        floor_holds: &floor_holds,
        patience: sync::PATIENCE,
    };
    Ok(sync.run().await?)
}

/// Whether seats change at all.
fn turns(config: &Config) -> bool {
    config.genesis.rules.term_blocks > 0
}

fn agreement(config: &Config) -> consensus::Config {
    let validators = config.genesis.nodes.iter().filter(|node| node.role == Role::Validator);
    consensus::Config {
        chain: Chain {
            chain_id: config.genesis.chain_id,
            genesis: consensus::Genesis { digest: config.genesis.digest().0, time_ms: config.genesis.time_ms },
            seats: validators.map(|node| Seat::sole(node.key.0)).collect(),
            polynomial: config.polynomial.clone(),
            pacing: Pacing::default(),
            term_blocks: turns(config).then_some(config.genesis.rules.term_blocks.into()),
        },
        keys: seats::keys(&config.key, Some(config.share.clone()).filter(|share| !share.is_empty()), turns(config)),
        addresses: config.agreement_peers.clone(),
        listen: config.agreement_listen,
        directory: config.directory.clone(),
        floor: sync::floor(&config.directory),
        archive: config.keep_blocks.map_or(Archive::Whole, |_| Archive::Newest),
        network_keys: Vec::new(),
    }
}

/// What the rules of the genesis leave for judging.
pub fn windows(rules: &ledger::Rules) -> Windows {
    Windows {
        work_max: rules.work_max(),
        judging: Duration::from_millis(rules.judging_ms()),
        deciding: Duration::from_millis(rules.vote_ms()),
    }
}

#[cfg(test)]
mod tests;
