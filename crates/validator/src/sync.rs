//! Beginning from others' snapshot: chunks from several peers, each checked as it comes, and the whole against the network's key.
//!
//! An offer is believed when more peers tell the same than may be faulty, so that a false chunk is found at once and its sender left
//! aside. Nothing rests on that: what was loaded is proven by its own roots and the certificate of its newest epoch, the
//! receipts of all epochs by their signatures, and from where agreement goes on by those who agreed. What came once lies on the disk, so an
//! interrupted start goes on where it was.

mod epochs;
mod failure;
mod pages;
mod peers;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use blocks::{Index, StateFile};
use crypto::{digest::hex, threshold::GroupKey};
use evm::Block;
use ledger::{Arrival, Kept, Leaf, Ledger};
use network::Client;
use protocol::{Digest, NetworkKeys, Noun as _, service::CertifiedEpoch};
use tokio::task::JoinSet;

pub use failure::SyncError;

use crate::{
    node::BLOCKS,
    offer::{CHUNK_BYTES, CHUNKS_MAX, Offer, chunk_digest},
    snapshot,
};
use epochs::Epochs;
use pages::Pages;
use peers::{Fault, Peers, Turns};

/// Chunks on their way at once.
const LANES: usize = 4;
/// Offers that one peer may make.
const OFFERS_MAX: usize = 16;
/// How long a network may take to make an offer, and to certify what it offered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(500);
/// A block's body.
const PIECE_BYTES_MAX: usize = 16 << 20;
/// The file that says from which block on agreement takes part.
const FLOOR: &str = "floor";

/// Where a node begins, and whom it asks.
pub(crate) struct Sync<'a> {
    pub peers: &'a [String],
    pub directory: &'a Path,
    /// The ledger as the network begins: whose network it must be.
    pub begin: &'a Ledger,
    /// The first key of the network: from it the snapshot's own rotations are followed.
    pub network_key: &'a GroupKey,
    /// Validators of which fewer than a third are faulty.
    pub validators: usize,
    pub client: Client,
    /// Whether agreement could begin at what a peer gives, where the network signs with one of these keys.
    pub floor_holds: &'a FloorHolds<'a>,
    /// How long peers may take until one of them has a floor.
    pub patience: Duration,
}

/// What came so far, of whichever offers: pages are good by their digests and epochs by their records, whoever offers them next.
#[derive(Default)]
struct Arrived {
    state: Pages<evm::Arriving>,
    ledger: Pages<::pages::Arriving<Leaf>>,
    epochs: Arrival,
}

/// Under these keys of the network, what a peer gives.
pub(crate) type FloorHolds<'a> =
    dyn Fn(&[[u8; 96]], &[u8]) -> Result<(), consensus::MemberError> + Send + std::marker::Sync + 'a;

/// What agreement begins from, where this node once began from others' state.
pub(crate) fn floor(directory: &Path) -> Option<Vec<u8>> {
    fs::read(directory.join(FLOOR)).ok()
}

impl Sync<'_> {
    /// Loads the newest snapshot and leaves all in the directory that a start needs; the snapshot itself last.
    pub async fn run(&self) -> Result<(), SyncError> {
        let wanted = self.validators.saturating_sub(1) / 3 + 1;
        if self.peers.len() < wanted {
            return Err(SyncError::TooFewPeers { found: self.peers.len(), wanted });
        }
        let directory = self.directory.to_owned();
        let file = Arc::new(blocking(move || snapshot::open(&directory).map_err(kept)).await?);
        let begun = self.begin_in(wanted, &file).await;
        let is_refused = matches!(begun, Err(SyncError::Refused { .. }));
        // Closed before anyone opens it again, whatever it came to.
        blocking(move || {
            if is_refused {
                // What was false in it is not told apart from what was not.
                file.set_aside().map_err(kept)?;
            }
            Arc::into_inner(file).into_iter().for_each(StateFile::close);
            Ok(())
        })
        .await?;
        begun
    }

    async fn begin_in(&self, wanted: usize, file: &Arc<StateFile>) -> Result<(), SyncError> {
        let folder = self.directory.join("sync");
        epochs::clear(file).await?;
        let mut arrived = Arrived::default();
        let (offer, bytes) = self.loaded(wanted, &folder, file, &mut arrived).await?;
        let (ledger, keys) = self.proven(&offer, (&bytes, &arrived.epochs), file).await?;
        let (header, chain) = (ledger.evm().header.clone(), ledger.chain());
        let checked = move |body: &[u8]| Index::checked(&chain, &header, body).map_err(|error| error.to_string());
        let at = |peer: &str| format!("{peer}/snapshots/{}/block", offer.height);
        let block = self.piece("a block", offer.height, at, checked).await?;
        let floor = self.floor(offer.height, &keys).await?;
        // It waits for the disk, which nothing that runs futures may do.
        let (directory, file) = (self.directory.to_owned(), Arc::clone(file));
        blocking(move || keep(&directory, &file, (&offer, &ledger), &block, &floor, &bytes)).await?;
        fs::remove_dir_all(&folder).map_err(|error| SyncError::Keep(error.to_string()))
    }

    /// The newest offer with its bytes, once all of its state is in the file. Where it is no longer offered before that, the next one
    /// goes on with what came.
    async fn loaded(
        &self,
        wanted: usize,
        folder: &Path,
        file: &Arc<StateFile>,
        arrived: &mut Arrived,
    ) -> Result<(Offer, Vec<u8>), SyncError> {
        let (mut failed, mut started) = (None, tokio::time::Instant::now());
        loop {
            let (offer, peers) = self.offer(wanted).await?;
            match failed {
                Some((epoch, error)) if epoch >= offer.epoch => {
                    if started.elapsed() > PATIENCE {
                        return Err(error);
                    }
                    failed = Some((epoch, error));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                _ => {}
            }
            tracing::info!(
                epoch = offer.epoch,
                height = offer.height,
                leaves = offer.state_leaves,
                "loading a snapshot"
            );
            match self.load(&offer, &peers, folder, file, arrived).await {
                Ok(bytes) => return Ok((offer, bytes)),
                Err(error @ (SyncError::NoChunk { .. } | SyncError::NoState { .. })) => {
                    tracing::warn!(%error, "going on with a newer snapshot");
                    (failed, started) = (Some((offer.epoch, error)), tokio::time::Instant::now());
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn load(
        &self,
        offer: &Offer,
        peers: &[String],
        folder: &Path,
        file: &Arc<StateFile>,
        arrived: &mut Arrived,
    ) -> Result<Vec<u8>, SyncError> {
        let bytes = Loading::new(offer, peers, folder, &self.client)?.run().await?;
        let mut turns = Turns::new(Peers::new(peers, &self.client));
        arrived.state.run(offer, &mut turns, file).await?;
        arrived.ledger.run(offer, &mut turns, file).await?;
        Epochs::new(offer, &mut turns, file, &mut arrived.epochs).await?.run(&bytes).await?;
        Ok(bytes)
    }

    /// The newest offer that so many peers make, and who makes it.
    async fn offer(&self, wanted: usize) -> Result<(Offer, Vec<String>), SyncError> {
        let started = tokio::time::Instant::now();
        loop {
            let mut found = BTreeMap::<Digest, (Offer, Vec<String>)>::new();
            for peer in self.peers {
                let offers: Vec<Offer> = match self.client.get_list(&format!("{peer}/snapshots")).await {
                    Ok(offers) => offers,
                    Err(error) => {
                        tracing::debug!(peer, %error, "no offers");
                        continue;
                    }
                };
                for offer in offers.into_iter().rev().take(OFFERS_MAX) {
                    let whole = offer.chain_id == self.begin.chain_id() && offer.bytes_of(0).is_some();
                    let (_, peers) = found.entry(offer.digest()).or_insert_with(|| (offer, Vec::new()));
                    if whole && !peers.contains(peer) {
                        peers.push(peer.clone());
                    }
                }
            }
            let told = found.into_values().filter(|(_, peers)| peers.len() >= wanted);
            if let Some(newest) = told.max_by_key(|(offer, _)| offer.epoch) {
                return Ok(newest);
            }
            if started.elapsed() > PATIENCE {
                return Err(SyncError::NoOffer { peers: self.peers.len(), wanted });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The ledger that the bytes are beside the state in the file, under a certificate of the network, and the keys that it has.
    async fn proven(
        &self,
        offer: &Offer,
        (bytes, arrival): (&[u8], &Arrival),
        file: &Arc<StateFile>,
    ) -> Result<(Ledger, NetworkKeys), SyncError> {
        let epoch = offer.epoch;
        let refused = |reason: String| SyncError::Refused { epoch, reason };
        let whole = Arc::clone(file);
        let (root, leaves) = (offer.state_root.0.into(), offer.state_leaves);
        let (ledger_root, ledger_rows) = (offer.ledger_root, offer.ledger_rows);
        let opened = blocking(move || {
            whole.settle(root, leaves, Vec::new()).map_err(kept)?;
            whole.settle_tree::<Leaf>(ledger_root, ledger_rows).map_err(kept)?;
            let moment = whole.moment().map_err(kept)?;
            let own = Kept::open(snapshot::base_of(moment.clone())).map_err(kept)?;
            Ok((whole.world(moment).map_err(kept)?, own))
        });
        let (world, own) = opened.await?;
        let ledger = Ledger::restore(bytes, world, own).map_err(|error| refused(error.to_string()))?;
        if !arrival.is_of(&ledger) {
            return Err(refused("it says of workers what their receipts do not".to_owned()));
        }
        if ledger.genesis() != self.begin.genesis() {
            return Err(refused("it is another network's".to_owned()));
        }
        let record = ledger.closed_epoch().ok_or_else(|| refused("it has no epoch".to_owned()))?;
        if (record.epoch, ledger.height()) != (epoch, offer.height) {
            return Err(refused("it is of another epoch than offered".to_owned()));
        }
        let rotations: Vec<_> = ledger.rotations().cloned().collect();
        let keys = NetworkKeys::follow(ledger.chain_id(), *self.network_key, &rotations);
        let keys = keys.map_err(|error| refused(format!("its keys do not follow from the network's: {error}")))?;
        let started = tokio::time::Instant::now();
        while started.elapsed() < PATIENCE {
            for peer in self.peers {
                let Ok(told) = self.client.get::<CertifiedEpoch>(&format!("{peer}/epochs/{epoch}")).await else {
                    continue;
                };
                if told.certificate.is_some_and(|certificate| keys.certifies(&certificate, record).is_some()) {
                    return Ok((ledger, keys));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(SyncError::NotCertified { epoch })
    }

    /// From where agreement goes on, of the first peer that gives what holds. Of a term that has just begun nobody can say so yet.
    async fn floor(&self, height: u64, keys: &NetworkKeys) -> Result<Vec<u8>, SyncError> {
        let signing: Vec<[u8; 96]> = keys.signing().map(|key| key.0).collect();
        let started = tokio::time::Instant::now();
        loop {
            let mut last = "none was asked".to_owned();
            for peer in self.peers {
                match self.client.get_bytes(&format!("{peer}/floor/{height}")).await {
                    Ok(bytes) => match (self.floor_holds)(&signing, &bytes) {
                        Ok(()) => return Ok(bytes.to_vec()),
                        Err(error) => {
                            tracing::warn!(peer, %error, "a floor is refused");
                            last = format!("{peer}: {error}");
                        }
                    },
                    Err(error) => last = format!("{peer}: {error}"),
                }
            }
            if started.elapsed() > self.patience {
                return Err(SyncError::NoFloor { height, last });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Something small of the first peer that has the right one: `check` makes of its bytes what is wanted, or says what is wrong.
    async fn piece<T: Send + 'static>(
        &self,
        what: &'static str,
        height: u64,
        url: impl Fn(&str) -> String,
        check: impl Fn(&[u8]) -> Result<T, String> + Send + std::marker::Sync + 'static,
    ) -> Result<T, SyncError> {
        let check = Arc::new(check);
        for peer in self.peers {
            let bytes = match self.client.get_bytes(&url(peer)).await {
                Ok(bytes) if bytes.len() <= PIECE_BYTES_MAX => bytes,
                Ok(bytes) => {
                    tracing::warn!(peer, bytes = bytes.len(), what, "too much");
                    continue;
                }
                Err(error) => {
                    tracing::debug!(peer, %error, what, "not had");
                    continue;
                }
            };
            let check = Arc::clone(&check);
            match blocking(move || Ok(check(&bytes))).await? {
                Ok(right) => return Ok(right),
                Err(fault) => tracing::warn!(peer, %fault, what, "a false one"),
            }
        }
        Err(SyncError::Missing { what, height })
    }
}

fn kept(error: impl std::fmt::Display) -> SyncError {
    SyncError::Keep(error.to_string())
}

/// Does what waits for the disk where nothing else waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SyncError> + Send + 'static,
) -> Result<T, SyncError> {
    tokio::task::spawn_blocking(work).await.map_err(kept)?
}

/// What a start needs, the ledger beside its state last: it says that all else is there.
fn keep(
    directory: &Path,
    file: &StateFile,
    (offer, ledger): (&Offer, &Ledger),
    block: &Block,
    floor: &[u8],
    bytes: &[u8],
) -> Result<(), SyncError> {
    let failed = |error: &dyn std::fmt::Display| SyncError::Keep(error.to_string());
    // First: where all else is gone, it says that this node cannot begin at the genesis.
    storage::write_file(&directory.join(FLOOR), floor).map_err(|error| failed(&error))?;
    // Blocks that were here before have a gap behind them.
    let path = directory.join(BLOCKS);
    if path.exists() {
        fs::remove_file(&path).map_err(|error| failed(&error))?;
    }
    let store = storage::Store::open(&path, Index::TABLES).map_err(|error| failed(&error))?;
    let index = Index::new(store.clone(), ledger.chain());
    index.store().commit_blocking(Index::put(block)).map_err(|error| failed(&error))?;
    drop(index);
    store.close();
    file.put_beside(snapshot::beside(offer, bytes)).map_err(|error| failed(&error))
}

/// The chunks of one snapshot on their way.
struct Loading {
    offer: Offer,
    folder: PathBuf,
    peers: Peers,
}

impl Loading {
    fn new(offer: &Offer, peers: &[String], folder: &Path, client: &Client) -> Result<Arc<Self>, SyncError> {
        fs::create_dir_all(folder).map_err(|error| SyncError::Keep(error.to_string()))?;
        Ok(Arc::new(Self { offer: offer.clone(), folder: folder.to_owned(), peers: Peers::new(peers, client) }))
    }

    /// All of it, in order.
    async fn run(self: Arc<Self>) -> Result<Vec<u8>, SyncError> {
        let (mut next, mut running) = (0..self.offer.chunks.len().min(CHUNKS_MAX), JoinSet::new());
        let mut chunks = vec![Vec::new(); next.len()];
        loop {
            while running.len() < LANES
                && let Some(chunk) = next.next()
            {
                let loading = Arc::clone(&self);
                running.spawn(async move { loading.chunk(chunk).await.map(|bytes| (chunk, bytes)) });
            }
            let Some(loaded) = running.join_next().await else { return Ok(chunks.concat()) };
            let (chunk, bytes) = loaded.map_err(|error| SyncError::Keep(error.to_string()))??;
            if let Some(place) = chunks.get_mut(chunk) {
                *place = bytes;
            }
        }
    }

    /// A chunk from the disk, or from one peer after the other.
    async fn chunk(&self, chunk: usize) -> Result<Vec<u8>, SyncError> {
        let digest = self.offer.chunks.get(chunk).copied().unwrap_or(Digest::ZERO);
        let file = self.folder.join(digest.to_string());
        if let Ok(bytes) = storage::read_file(&file, CHUNK_BYTES as u64)
            && chunk_digest(&bytes) == digest
        {
            return Ok(bytes);
        }
        let mut last = "none was asked".to_owned();
        for turn in chunk.. {
            let Some(peer) = self.peers.peer(turn) else { break };
            match self.asked(&peer, chunk, &digest).await {
                Ok(bytes) => {
                    storage::write_file(&file, &bytes).map_err(|error| SyncError::Keep(error.to_string()))?;
                    return Ok(bytes);
                }
                Err(fault) => {
                    last = format!("{peer}: {fault}");
                    tracing::warn!(peer, chunk, %fault, "a chunk is refused");
                    self.peers.blame(&peer, &fault);
                }
            }
        }
        Err(SyncError::NoChunk { epoch: self.offer.epoch, chunk, last })
    }

    async fn asked(&self, peer: &str, chunk: usize, digest: &Digest) -> Result<Vec<u8>, Fault> {
        let expected = self.offer.bytes_of(chunk).unwrap_or(0);
        let bytes =
            self.peers.asked(&format!("{peer}/snapshots/{}/chunks/{chunk}", self.offer.epoch), expected).await?;
        if bytes.len() < expected {
            return Err(Fault::Short { found: bytes.len(), expected });
        }
        if chunk_digest(&bytes) == *digest { Ok(bytes) } else { Err(Fault::False) }
    }
}

#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod tests;
