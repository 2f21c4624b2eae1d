//! The ledger on disk: a snapshot now and then, from which a restart replays blocks.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use ledger::{Ledger, Snapshot};
use storage::Store;

use crate::offer::{Offer, Offers};

/// Closed epochs between two snapshots: what a restart executes again at most, besides the open epoch.
const EVERY: u64 = 32;
/// The file in a node's folder.
pub(crate) const FILE: &str = "ledger.snapshot";
/// Largest snapshot that is read back.
const BYTES_MAX: u64 = 4 << 30;

/// Writes snapshots, one at a time, beside the execution.
pub(crate) struct Snapshots {
    path: Option<PathBuf>,
    written: AtomicU64,
    writing: Arc<AtomicBool>,
    /// Newest block of what is on the disk: what a restart begins from.
    height: Arc<AtomicU64>,
    offers: Option<Arc<Offers>>,
}

impl Snapshots {
    /// In this folder; absent where nothing is kept, as in simulations.
    pub fn new(directory: Option<&Path>) -> Self {
        let offers = directory.and_then(|directory| match Offers::new(directory.join("offers")) {
            Ok(offers) => Some(Arc::new(offers)),
            Err(error) => {
                tracing::warn!(%error, "no snapshots can be offered");
                None
            }
        });
        let path = directory.map(|directory| directory.join(FILE));
        Self { path, written: AtomicU64::new(0), writing: Arc::default(), height: Arc::default(), offers }
    }

    /// What others may begin from.
    pub fn offers(&self) -> Option<&Offers> {
        self.offers.as_deref()
    }

    /// The ledger that was written last, or the one that the network begins with. A damaged snapshot is left aside: blocks tell
    /// the same.
    pub fn load(&self, begin: &Ledger) -> Ledger {
        if let Some(path) = self.path.as_deref().filter(|path| path.exists()) {
            match read(path, begin) {
                Ok((ledger, offer)) => {
                    if let (Some(offers), Some(offer)) = (&self.offers, offer)
                        && let Err(error) = offers.add(path, offer)
                    {
                        tracing::warn!(%error, "failed to offer a snapshot");
                    }
                    self.written.store(ledger.open_epoch(), Ordering::Relaxed);
                    self.height.store(ledger.height(), Ordering::Relaxed);
                    return ledger;
                }
                Err(reason) => tracing::warn!(path = %path.display(), reason, "snapshot left aside"),
            }
        }
        begin.clone()
    }

    /// The block that a restart begins after; blocks up to it need not be kept for that.
    pub fn height(&self) -> u64 {
        self.height.load(Ordering::Relaxed)
    }

    /// Takes a snapshot if one is due and none is being written. What is large in it is shared with the ledger.
    pub fn due(&self, ledger: &Ledger) -> Option<Snapshot> {
        let epoch = ledger.open_epoch();
        // After the same epochs everywhere, so that all offer the same.
        let due = epoch.is_multiple_of(EVERY) && epoch > self.written.load(Ordering::Relaxed);
        if self.path.is_none() || !due || self.writing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let snapshot = ledger.snapshot();
        match &snapshot {
            Some(_) => self.written.store(epoch, Ordering::Relaxed),
            None => self.writing.store(false, Ordering::Release),
        }
        snapshot
    }

    /// Writes a snapshot beside the execution, once all that `index` was given before is durable: a restart looks there for the
    /// snapshot's newest block.
    pub fn write(&self, snapshot: Snapshot, (chain_id, epoch): (u64, u64), index: Option<Store>) {
        let Some(path) = self.path.clone() else { return };
        let (writing, height, newest) = (Arc::clone(&self.writing), Arc::clone(&self.height), snapshot.height());
        let offers = self.offers.clone();
        let write = move || {
            let indexed = index.map_or(Ok(()), |index| index.commit_blocking(Vec::new()));
            let written = indexed.map_err(|error| error.to_string()).and_then(|()| {
                let bytes = snapshot.into_bytes();
                storage::write_file(&path, &bytes).map_err(|error| error.to_string())?;
                height.store(newest, Ordering::Relaxed);
                let offer = Offer::of(chain_id, epoch, newest, &bytes);
                let added = offers.zip(offer).map_or(Ok(()), |(offers, offer)| offers.add(&path, offer));
                added.map_err(|error| error.to_string())
            });
            if let Err(error) = written {
                tracing::warn!(error, "failed to write a snapshot");
            }
            writing.store(false, Ordering::Release);
        };
        if let Err(error) = thread::Builder::new().name("snapshot".to_owned()).spawn(write) {
            tracing::warn!(%error, "failed to start writing a snapshot");
            self.writing.store(false, Ordering::Release);
        }
    }
}

fn read(path: &Path, begin: &Ledger) -> Result<(Ledger, Option<Offer>), String> {
    let bytes = storage::read_file(path, BYTES_MAX).map_err(|error| error.to_string())?;
    let ledger = Ledger::restore(&bytes).map_err(|error| error.to_string())?;
    if ledger.genesis() != begin.genesis() {
        return Err("it is another network's".to_owned());
    }
    let epoch = ledger.closed_epoch().map(|record| record.epoch);
    let offer = epoch.and_then(|epoch| Offer::of(ledger.chain_id(), epoch, ledger.height(), &bytes));
    Ok((ledger, offer))
}
