//! The ledger on disk: a snapshot now and then, from which a restart replays blocks.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use ledger::{Genesis, GenesisError, Ledger};

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

    /// The ledger that was written last, or the genesis. A damaged snapshot is left aside: blocks tell the same.
    pub fn load(&self, genesis: &Genesis) -> Result<Ledger, GenesisError> {
        if let Some(path) = self.path.as_deref().filter(|path| path.exists()) {
            match read(path, genesis) {
                Ok(ledger) => {
                    self.written.store(ledger.open_epoch(), Ordering::Relaxed);
                    return Ok(ledger);
                }
                Err(reason) => tracing::warn!(path = %path.display(), reason, "snapshot left aside"),
            }
        }
        Ledger::new(genesis)
    }

    /// Starts writing a snapshot if one is due and none is being written.
    pub fn offer(&self, ledger: &Ledger) {
        let (Some(path), epoch) = (self.path.clone(), ledger.open_epoch()) else { return };
        let due = epoch >= self.written.load(Ordering::Relaxed).saturating_add(EVERY);
        if !due || self.writing.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(bytes) = ledger.snapshot_bytes() else { return self.writing.store(false, Ordering::Release) };
        self.written.store(epoch, Ordering::Relaxed);
        let writing = Arc::clone(&self.writing);
        let write = move || {
            if let Err(error) = storage::write_file(&path, &bytes) {
                tracing::warn!(%error, "failed to write a snapshot");
            }
            writing.store(false, Ordering::Release);
        };
        if let Err(error) = thread::Builder::new().name("snapshot".to_owned()).spawn(write) {
            tracing::warn!(%error, "failed to start writing a snapshot");
            self.writing.store(false, Ordering::Release);
        }
    }
}

fn read(path: &Path, genesis: &Genesis) -> Result<Ledger, String> {
    let bytes = storage::read_file(path, BYTES_MAX).map_err(|error| error.to_string())?;
    let ledger = Ledger::restore(&bytes).map_err(|error| error.to_string())?;
    let expected = protocol::Noun::digest(genesis);
    if ledger.genesis() == expected { Ok(ledger) } else { Err("it is another network's".to_owned()) }
}
