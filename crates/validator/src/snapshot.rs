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

/// Closed epochs between two snapshots: what a restart executes again at most, besides the open epoch.
const EVERY: u64 = 32;
/// Largest snapshot that is read back.
const BYTES_MAX: u64 = 4 << 30;

/// Writes snapshots, one at a time, beside the execution.
pub(crate) struct Snapshots {
    path: Option<PathBuf>,
    written: AtomicU64,
    writing: Arc<AtomicBool>,
}

impl Snapshots {
    /// `path` is absent where nothing is kept, as in simulations.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, written: AtomicU64::new(0), writing: Arc::default() }
    }

    /// The ledger that was written last, or the one that the network begins with. A damaged snapshot is left aside: blocks tell
    /// the same.
    pub fn load(&self, begin: &Ledger) -> Ledger {
        if let Some(path) = self.path.as_deref().filter(|path| path.exists()) {
            match read(path, begin) {
                Ok(ledger) => {
                    self.written.store(ledger.open_epoch(), Ordering::Relaxed);
                    return ledger;
                }
                Err(reason) => tracing::warn!(path = %path.display(), reason, "snapshot left aside"),
            }
        }
        begin.clone()
    }

    /// Takes a snapshot if one is due and none is being written. What is large in it is shared with the ledger.
    pub fn due(&self, ledger: &Ledger) -> Option<Snapshot> {
        let epoch = ledger.open_epoch();
        let due = epoch >= self.written.load(Ordering::Relaxed).saturating_add(EVERY);
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
    pub fn write(&self, snapshot: Snapshot, index: Option<Store>) {
        let Some(path) = self.path.clone() else { return };
        let writing = Arc::clone(&self.writing);
        let write = move || {
            let indexed = index.map_or(Ok(()), |index| index.commit_blocking(Vec::new()));
            let written = indexed
                .map_err(|error| error.to_string())
                .and_then(|()| storage::write_file(&path, &snapshot.into_bytes()).map_err(|error| error.to_string()));
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

fn read(path: &Path, begin: &Ledger) -> Result<Ledger, String> {
    let bytes = storage::read_file(path, BYTES_MAX).map_err(|error| error.to_string())?;
    let ledger = Ledger::restore(&bytes).map_err(|error| error.to_string())?;
    if ledger.genesis() == begin.genesis() { Ok(ledger) } else { Err("it is another network's".to_owned()) }
}
