//! One validator on real sockets and a real disk, with a runtime and threads of its own.
//!
//! Its directory belongs to it alone: two validators with one key would contradict each other, so a second start on
//! the same directory is refused, and a directory must never be copied to another machine.

use std::{
    any::Any,
    fs::{File, OpenOptions, TryLockError},
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    sync::{Arc, mpsc as blocking},
    thread::JoinHandle,
    time::Duration,
};

use commonware_codec::{Copying, DecodeExt, Encode as _};
use commonware_consensus::types::Height;
use commonware_cryptography::{ChaCha20Poly1305, Digestible, ed25519::PublicKey};
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers,
    authenticated::lookup::{self, Network},
};
use commonware_runtime::{Clock as _, Metrics, Quota, Runner, Spawner, Supervisor, tokio};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZUsize, channel::oneshot, ordered::Map};
use futures::{FutureExt, future, select_biased};

use crate::{
    Application, Archive, Chain, Counts, EpochCertificate, FinalizedBlock, Keys, MemberError, Requests, StoreError,
    application::Command,
    beginning::Beginnings,
    conductor::Track,
    engine::{self, Channels, QUOTAS, Running, max_message_bytes},
    member::Member,
};

/// Blocks in a row that may have been finalized by a descendant's votes only.
const FLOOR_DEPTH: u64 = 64;

/// How long a node that sent what no honest one sends is kept out.
const BLOCKED: Duration = Duration::from_secs(60);

/// Everything that a validator is started with.
#[derive(Clone)]
pub struct Config {
    pub chain: Chain,
    pub keys: Keys,
    /// Where each node that sits first is reached, and others that are known; our own entry is not used. Those of who sits later come
    /// from [`Application::addresses`].
    pub addresses: Vec<([u8; 32], SocketAddr)>,
    /// Where we listen.
    pub listen: SocketAddr,
    /// Blocks, votes and certificates. Made if it does not exist.
    pub directory: PathBuf,
    /// Which finalized blocks are kept. A directory that was begun with one cannot go on with the other.
    pub archive: Archive,
    /// What finalized the block to begin from, where the application begins from others' state; see [`Handle::floor`].
    pub floor: Option<Vec<u8>>,
    /// The network's keys, the first and those that followed it, each signed for by the one before (the application has checked that);
    /// nothing if the first is the only one. What finalized a floor is believed under these.
    pub network_keys: Vec<[u8; 96]>,
}

/// Why a validator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Member(#[from] MemberError),
    #[error("failed to start validator: no address for validator {}; hint: name every validator", hex(.0))]
    NoAddress([u8; 32]),
    #[error("failed to listen on {address}: {source}; hint: another process may use the port")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("failed to open directory {directory}: {source}")]
    Directory { directory: PathBuf, source: std::io::Error },
    #[error("failed to open directory {directory}: another validator runs on it")]
    InUse { directory: PathBuf },
    #[error(
        "failed to open directory {directory}: it was begun with the archive `{found}`, now it is to be `{expected}`; hint: go on as before, or empty it and sync"
    )]
    OtherArchive { directory: PathBuf, found: String, expected: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to start validator: {0}")]
    Thread(std::io::Error),
    #[error("failed to start validator: it stopped while starting; hint: the log names the cause")]
    Stopped,
}

fn hex(key: &[u8; 32]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A validator that stopped by itself: its disk failed, or the application panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agreement stopped by itself: {cause}")]
pub struct Failed {
    cause: String,
}

impl Failed {
    /// By what a thread panicked with.
    fn of(reason: &(dyn Any + Send)) -> Self {
        let said = reason.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| reason.downcast_ref::<&str>().copied()).unwrap_or("a part of it panicked");
        if said.contains("hint: ") {
            return Self { cause: said.to_owned() };
        }
        Self { cause: format!("{said}; hint: the log names the cause, the directory can be opened again") }
    }
}

/// The end of a validator's thread.
type Ended = future::Shared<future::BoxFuture<'static, Result<(), Failed>>>;

/// Starts validators; see [`Validator::start`].
pub struct Validator;

impl Validator {
    /// Starts a validator and returns once it listens, reads its archives and takes part.
    pub fn start(config: Config, application: Arc<dyn Application>) -> Result<Handle, StartError> {
        let mut member = Member::read(&config.chain, &config.keys)?;
        member.archive = config.archive;
        member.follow(&config.network_keys);
        if let Some(floor) = &config.floor {
            member.begin_at(floor)?;
        }
        let addresses = read_addresses(&config)?;
        let lock = lock_directory(&config.directory)?;
        settle_archive(&config.directory, config.archive)?;
        // The network panics when it cannot bind, so ask first.
        drop(TcpListener::bind(config.listen).map_err(|source| StartError::Listen { address: config.listen, source })?);

        let (started, starting) = blocking::channel();
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let body = move || {
            let ran = catch_unwind(AssertUnwindSafe(|| run(config, member, addresses, application, &started, stopped)));
            // Nobody may wait for it.
            let _ = ending.send(ran.as_ref().copied().map_err(|reason| Failed::of(&**reason)));
            if let Err(reason) = ran {
                resume_unwind(reason);
            }
        };
        let thread =
            std::thread::Builder::new().name("validator".to_owned()).spawn(body).map_err(StartError::Thread)?;
        match starting.recv() {
            Ok(Ok((running, context))) => {
                let ended = ended.map(|ended| ended.unwrap_or(Ok(()))).boxed().shared();
                Ok(Handle { running, context, stop: Some(stop), thread: Some(thread), ended, _lock: lock })
            }
            Ok(Err(error)) => Err(StartError::Store(error)),
            Err(blocking::RecvError) => Err(StartError::Stopped),
        }
    }
}

/// A running validator. Dropping it stops the validator.
pub struct Handle {
    running: Face,
    context: tokio::Context,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    ended: Ended,
    /// Held until the validator has stopped.
    _lock: File,
}

/// The parts of [`Running`] that other threads may use.
struct Face {
    mailbox: crate::Mailbox,
    requests: Requests,
    counters: Arc<crate::counters::Counters>,
    beginnings: Beginnings,
}

impl Handle {
    /// What may be asked of agreement; the application got the same in [`Application::attach`].
    pub fn requests(&self) -> Requests {
        self.running.requests.clone()
    }

    /// The finalized block at `height`, if it has reached this validator's archive. Needs no particular runtime; must
    /// not be waited for inside a callback of [`Application`].
    pub async fn block(&self, height: u64) -> Option<FinalizedBlock> {
        let block = self.running.mailbox.get_block(Height::new(height)).await?;
        Some(FinalizedBlock { block: block.inner_shared(), digest: block.digest().0, seated: None })
    }

    /// The finalized blocks from `from` up to `to`, both included, as far as the archive goes without a gap.
    pub async fn blocks(&self, from: u64, to: u64) -> Vec<FinalizedBlock> {
        let mut blocks = Vec::new();
        for height in from..=to {
            let Some(block) = self.block(height).await else { break };
            blocks.push(block);
        }
        blocks
    }

    /// What an application begins from that holds the state after `height`: what finalized the newest block up to `height` that has a
    /// finalization of its own, or where terms end, the beginning in the term of the next block.
    pub async fn floor(&self, height: u64) -> Option<Vec<u8>> {
        if self.running.beginnings.turns() {
            return self.running.beginnings.after(height).await;
        }
        for height in (height.saturating_sub(FLOOR_DEPTH)..=height).rev() {
            if let Some(found) = self.running.mailbox.get_finalization(Height::new(height)).await {
                return Some(found.encode().to_vec());
            }
        }
        None
    }

    /// The certificate of an epoch, if it is stored here.
    pub async fn certificate(&self, epoch: u64) -> Option<EpochCertificate> {
        let (answer, answered) = oneshot::channel();
        self.running.requests.command(Command::Certificate { epoch, answer });
        answered.await.ok().flatten()
    }

    /// Asks the others for the certificate of an epoch that was closed before this node's time, which one of these keys signed, the
    /// last most likely: an answer is tried with each. [`Self::certificate`] finds it once it has come. A few are asked for at once; false
    /// where this one is not, nor was lately.
    pub async fn ask_certificate(&self, epoch: u64, digest: [u8; 32], network_keys: Vec<[u8; 96]>) -> bool {
        let (answer, answered) = oneshot::channel();
        self.running.requests.command(Command::Ask { epoch, digest, network_keys, answer });
        answered.await.unwrap_or(false)
    }

    /// What went wrong without stopping anything.
    pub fn counts(&self) -> Counts {
        self.running.counters.read()
    }

    /// All metrics in the Prometheus text format.
    pub fn metrics(&self) -> String {
        self.context.encode()
    }

    /// Whether the validator still takes part.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Resolves once the validator has stopped, with the cause where it stopped by itself. Needs no particular runtime.
    pub async fn ended(&self) -> Result<(), Failed> {
        self.ended.clone().await
    }

    /// Stops the validator and waits until its directory can be opened again.
    pub fn stop(mut self) -> Result<(), Failed> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Failed> {
        if let Some(stop) = self.stop.take() {
            // Fails only if the validator has stopped already.
            let _ = stop.send(());
        }
        self.thread.take().map_or(Ok(()), |thread| thread.join().map_err(|reason| Failed::of(&*reason)))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "validator had failed before it was dropped");
        }
    }
}

fn read_addresses(config: &Config) -> Result<Map<PublicKey, Address>, StartError> {
    for seat in &config.chain.seats {
        if !config.addresses.iter().any(|(named, _)| *named == seat.node) {
            return Err(StartError::NoAddress(seat.node));
        }
    }
    let mut addresses = Vec::with_capacity(config.addresses.len());
    for (key, address) in &config.addresses {
        let public = PublicKey::decode(Copying(key)).map_err(|_| StartError::NoAddress(*key))?;
        addresses.push((public, Address::from(*address)));
    }
    Ok(Map::from_iter_dedup(addresses))
}

/// Nodes of which one is connected to so many at once; more are not tracked.
fn peers_max(member: &Member, known: usize) -> usize {
    if member.rules.turns() { known.saturating_mul(2).max(16) } else { known.max(1) }
}

/// Who sits, and what the application knows of where nodes are.
type Told = (Vec<PublicKey>, Vec<(PublicKey, Address)>);

/// Tells the network whom to know, whenever that changes.
struct Tracked {
    oracle: lookup::Oracle<PublicKey>,
    application: Arc<dyn Application>,
    me: PublicKey,
    /// From the start.
    known: Vec<(PublicKey, Address)>,
    peers_max: usize,
    index: u64,
    last: Option<Told>,
}

impl Track for Tracked {
    fn track(&mut self, sitting: &[PublicKey]) {
        let read = |(key, address): ([u8; 32], SocketAddr)| {
            Some((PublicKey::decode(Copying(&key)).ok()?, Address::from(address)))
        };
        let told: Vec<_> = self.application.addresses().into_iter().filter_map(read).collect();
        let now = Some((sitting.to_vec(), told));
        if self.last == now {
            return;
        }
        self.last = now;
        let told = self.last.iter().flat_map(|(_, told)| told);
        // What is told later of a node holds.
        let addresses: std::collections::BTreeMap<PublicKey, Address> =
            self.known.iter().chain(told).cloned().collect();
        let mut sitting = sitting.to_vec();
        sitting.sort();
        sitting.dedup();
        // We count, in the set or not.
        let room = self.peers_max.saturating_sub(usize::from(!sitting.contains(&self.me)));
        let place = |node: &PublicKey| Some((node.clone(), addresses.get(node)?.clone()));
        let primary: Vec<_> = sitting.iter().filter_map(place).take(room).collect();
        let room = room.saturating_sub(primary.len());
        let others = addresses.iter().filter(|(node, _)| **node != self.me && !sitting.contains(node));
        let secondary: Vec<_> = others.take(room).map(|(node, address)| (node.clone(), address.clone())).collect();
        if primary.len() < sitting.len() {
            let unknown = sitting.len().saturating_sub(primary.len());
            tracing::warn!(unknown, "nodes that sit have no known address");
        }
        self.index = self.index.saturating_add(1);
        let peers = AddressableTrackedPeers::new(Map::from_iter_dedup(primary), Map::from_iter_dedup(secondary));
        self.oracle.track(self.index, peers);
    }
}

fn lock_directory(directory: &std::path::Path) -> Result<File, StartError> {
    let failed = |source| StartError::Directory { directory: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).open(directory.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Notes with which archive the directory is begun, or checks that it was.
fn settle_archive(directory: &std::path::Path, archive: Archive) -> Result<(), StartError> {
    let failed = |source| StartError::Directory { directory: directory.to_owned(), source };
    let (file, expected) = (directory.join("archive"), archive.word());
    let found = match std::fs::read_to_string(&file) {
        Ok(found) => found.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // What was begun before there was a choice is whole.
            let begun = directory.join("agreement").exists();
            let word = if begun { Archive::Whole.word() } else { expected };
            std::fs::write(&file, word).map_err(failed)?;
            word.to_owned()
        }
        Err(error) => return Err(failed(error)),
    };
    if found == expected {
        Ok(())
    } else {
        Err(StartError::OtherArchive { directory: directory.to_owned(), found, expected })
    }
}

type Started = Result<(Face, tokio::Context), StoreError>;

/// The validator's thread: ends when asked to, and fails when any part of the validator ends by itself.
fn run(
    config: Config,
    member: Member,
    addresses: Map<PublicKey, Address>,
    application: Arc<dyn Application>,
    started: &blocking::Sender<Started>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::Config::default()
        .with_storage_directory(config.directory.join("agreement"))
        .with_worker_threads(2)
        .with_max_blocking_threads(8)
        .with_thread_stack_size(2 << 20)
        .with_tcp_nodelay(Some(true));
    tokio::Runner::new(runtime).start(|context| async move {
        let known = addresses.iter_pairs().map(|(node, address)| (node.clone(), address.clone())).collect();
        let peers_max = peers_max(&member, addresses.len());
        let (network, channels, oracle) = open_network(&context, &config, &member, addresses, peers_max);
        let network = network.start();
        let (told, me, index, last) = (application.clone(), member.me.clone(), 0, None);
        let track = Tracked { oracle: oracle.clone(), application: told, me, known, peers_max, index, last };
        let validator = context.child("validator");
        let outcome = engine::start(validator, member, application, channels, oracle.clone(), oracle, track);
        let Running { mailbox, requests, counters, beginnings, mut tasks } = match outcome.await {
            Ok(running) => running,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        tasks.push(network);
        let _ = started.send(Ok((Face { mailbox, requests, counters, beginnings }, context.child("face"))));
        select_biased! {
            _ = stopped.fuse() => {}
            _ = future::select_all(tasks).fuse() => {
                // Where it panicked, the runtime ends all of this by that very panic, which says why.
                context.sleep(Duration::from_secs(1)).await;
                tracing::error!("a part of the validator ended");
                std::panic::panic_any("a part of the validator ended");
            }
        }
        // Gives every actor the time to finish its write; what is not finished is repeated after the next start.
        let _ = context.stop(0, Some(Duration::from_secs(2))).await;
    });
}

type LookupNetwork =
    Network<tokio::Context, Cups<Sake<commonware_cryptography::ed25519::PrivateKey>, ChaCha20Poly1305>>;
type LookupChannels = Channels<lookup::Sender<PublicKey, tokio::Context>, lookup::Receiver<PublicKey>>;

fn open_network(
    context: &tokio::Context,
    config: &Config,
    member: &Member,
    addresses: Map<PublicKey, Address>,
    peers_max: usize,
) -> (LookupNetwork, LookupChannels, lookup::Oracle<PublicKey>) {
    let sake = Sake {
        signer: member.signer.clone(),
        synchrony_bound: Duration::from_secs(5),
        max_handshake_age: Duration::from_secs(10),
        version: sake::Version::V1,
    };
    let handshake = Cups::<_, ChaCha20Poly1305>::new(sake, cups::Version::V1);
    let peers = std::num::NonZeroUsize::new(peers_max).unwrap_or(std::num::NonZeroUsize::MIN);
    let bytes = max_message_bytes();
    let mut settings = lookup::Config::local(handshake, &member.namespace, config.listen, peers, bytes, NZUsize!(256));
    settings.tracked_peer_sets = std::num::NonZeroUsize::MIN;
    // Whoever was blocked for what a restart has mended is missed for no longer than this, and who lies says little in between.
    settings.block_duration = BLOCKED;
    settings.peer_connection_cooldown = Duration::from_millis(500);
    settings.dial_frequency = Duration::from_millis(100);
    let (mut network, mut oracle) = Network::new(context.child("network"), settings);
    oracle.track(0, addresses);
    let [votes, certificates, resolver, blocks, backfill, epochs, shared, rounds, records, rotations] =
        QUOTAS.map(quota);
    let channels = Channels {
        votes: network.register(0, votes),
        certificates: network.register(1, certificates),
        resolver: network.register(2, resolver),
        blocks: network.register(3, blocks),
        backfill: network.register(4, backfill),
        epochs: network.register(5, epochs),
        shared: network.register(6, shared),
        rounds: network.register(7, rounds),
        records: network.register(8, records),
        rotations: network.register(9, rotations),
    };
    (network, channels, oracle)
}

pub(crate) fn quota(per_second: u32) -> Quota {
    Quota::per_second(std::num::NonZeroU32::new(per_second).unwrap_or(std::num::NonZeroU32::MIN))
}
