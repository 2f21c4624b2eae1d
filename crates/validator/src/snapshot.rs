//! The ledger on disk: a snapshot now and then, from which a restart replays blocks. One file, and one commit for what belongs to one
//! height: the EVM's state and the ledger's tree, of which only what changed is written, epochs, which are only added, and the small tables as
//! bytes.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use blocks::{StateFile, change};
use evm::STATE_PAGES;
use ledger::{Ahead, Kept, Ledger, Snapshot};
use protocol::{Canonical as _, Digest};
use storage::{Change, Moment, Store, StoreError};

use crate::{
    failure::NodeError,
    lock::locked,
    offer::{CHUNK_BYTES, LEDGER, Offer, Offers, chunk_key},
};

/// Closed epochs between two snapshots that are offered to others: what a restart executes again at most, besides the open epoch.
const EVERY: u64 = 32;
/// Of both states, what may be in memory only; then a snapshot is due with the next epoch.
const HELD_BYTES: usize = 48 << 20;
/// Of closed epochs; then they are written ahead of the snapshot, which costs little: they are only added.
const AHEAD_BYTES: usize = 12 << 20;
/// Where the disk does not keep up: execution waits for it.
const HELD_BYTES_MAX: usize = 96 << 20;
const PAUSE: Duration = Duration::from_millis(1);
/// Of the EVM's state and of the ledger's own, what is kept in memory of what was read.
const CACHE_BYTES: usize = 48 << 20;
/// The file in a node's folder.
pub(crate) const FILE: &str = "state.redb";
/// Which snapshot lies beside the EVM's state.
const HEAD: &[u8] = b"head";

/// What the EVM's state and the ledger's own rest on.
pub(crate) type Bases = (evm::Base, ledger::Base);

/// Writes snapshots, one at a time, beside the execution.
pub(crate) struct Snapshots {
    file: Option<Arc<StateFile>>,
    written: AtomicU64,
    writing: Arc<AtomicBool>,
    /// Why the last of them was not written.
    unwritten: Arc<Mutex<Option<String>>>,
    /// Newest block of what is on the disk: what a restart begins from.
    height: Arc<AtomicU64>,
    /// What is read of the ledger's own tables.
    cache: ledger::Cache,
    /// What was written last, for the ledger to rest on.
    base: Arc<Mutex<Option<Bases>>>,
    /// The same of epochs that were written ahead.
    ahead: Arc<Mutex<Option<ledger::Base>>>,
    offers: Arc<Offers>,
}

/// The file of the state in this folder. One whose bytes are not as they were written is set aside.
pub(crate) fn open(directory: &Path) -> Result<StateFile, StoreError> {
    let beside = [&[LEDGER], ledger::TABLES].concat();
    StateFile::open(&directory.join(FILE), &beside, CACHE_BYTES)
}

/// The ledger's own tables as of a moment, with a cache of their own.
pub(crate) fn base_of(moment: Moment) -> ledger::Base {
    ledger::Base::new(StateFile::reader(moment), ledger::Cache::new(CACHE_BYTES))
}

/// Whether a snapshot is in the file.
pub(crate) fn is_begun(file: &StateFile) -> Result<bool, StoreError> {
    Ok(file.get(LEDGER, HEAD)?.is_some())
}

/// A snapshot as it lies beside the EVM's state.
pub(crate) fn beside(offer: &Offer, bytes: &[u8]) -> Vec<Change> {
    let chunks = bytes.chunks(CHUNK_BYTES).enumerate();
    let chunks = chunks.map(|(chunk, bytes)| Change::put(LEDGER, chunk_key(chunk), bytes));
    chunks.chain([Change::put(LEDGER, HEAD, offer.encode())]).collect()
}

impl Snapshots {
    /// In this folder, with the ledger that was written there last, or the one that the network begins with. What cannot be used is
    /// set aside: blocks tell the same. Without a folder nothing is kept, as in simulations.
    pub fn open(directory: Option<&Path>, begin: &Ledger) -> Result<(Self, Ledger), NodeError> {
        let mut snapshots = Self {
            file: None,
            written: AtomicU64::new(0),
            writing: Arc::default(),
            unwritten: Arc::default(),
            height: Arc::default(),
            cache: ledger::Cache::new(CACHE_BYTES),
            base: Arc::default(),
            ahead: Arc::default(),
            offers: Arc::default(),
        };
        let Some(directory) = directory else { return Ok((snapshots, begin.clone())) };
        let file = open(directory)?;
        match read(&file, &snapshots.cache, begin) {
            Ok(Some((ledger, offer, moment))) => {
                snapshots.written.store(ledger.open_epoch(), Ordering::Relaxed);
                snapshots.height.store(ledger.height(), Ordering::Relaxed);
                if is_offered(ledger.open_epoch()) {
                    snapshots.offers.add(offer, moment);
                }
                snapshots.file = Some(Arc::new(file));
                Ok((snapshots, ledger))
            }
            Ok(None) => {
                snapshots.file = Some(Arc::new(file));
                Ok((snapshots, begin.clone()))
            }
            Err(reason) => {
                tracing::warn!(path = %file.path().display(), reason, "snapshot set aside");
                let path = file.path().to_owned();
                file.set_aside().map_err(|source| NodeError::SetAside { path, source })?;
                file.close();
                snapshots.cache = ledger::Cache::new(CACHE_BYTES);
                snapshots.file = Some(Arc::new(open(directory)?));
                Ok((snapshots, begin.clone()))
            }
        }
    }

    /// What others may begin from.
    pub fn offers(&self) -> Option<&Offers> {
        self.file.as_ref().map(|_| &*self.offers)
    }

    /// What is on the disk is not what this node begins from: it is written again from the first epoch on.
    pub fn begin_anew(&self) {
        self.written.store(0, Ordering::Relaxed);
        self.height.store(0, Ordering::Relaxed);
    }

    /// The block that a restart begins after; blocks up to it need not be kept for that.
    pub fn height(&self) -> u64 {
        self.height.load(Ordering::Relaxed)
    }

    /// What the ledger may rest on since a snapshot was written.
    pub fn new_base(&self) -> Option<Bases> {
        locked(&self.base).take()
    }

    /// What epochs may rest on that were written ahead.
    pub fn new_ahead(&self) -> Option<ledger::Base> {
        locked(&self.ahead).take()
    }

    /// Epochs to be written ahead, if they are many and nothing is being written.
    pub fn due_ahead(&self, ledger: &Ledger) -> Option<Ahead> {
        let due = self.file.is_some() && ledger.ahead_bytes() > AHEAD_BYTES;
        (due && !self.writing.swap(true, Ordering::AcqRel)).then(|| ledger.ahead())
    }

    /// Writes epochs ahead of their snapshot, beside the execution. Until there is one, they lie there and say nothing.
    pub fn write_ahead(&self, ahead: Ahead) {
        let Some(file) = self.file.clone() else { return };
        let (base, cache) = (Arc::clone(&self.ahead), self.cache.clone());
        self.beside(move || {
            let moment = put_ahead(&file, &ahead).map_err(|error| error.to_string())?;
            *locked(&base) = Some(ahead.written_to(ledger::Base::new(StateFile::reader(moment), cache)));
            Ok(())
        });
    }

    /// Writes in a thread of its own.
    fn beside(&self, write: impl FnOnce() -> Result<(), String> + Send + 'static) {
        let writing = Writing {
            writing: Arc::clone(&self.writing),
            unwritten: Arc::clone(&self.unwritten),
            failure: Some("its writer panicked, the log says why".to_owned()),
        };
        let write = move || writing.ends(write());
        if let Err(error) = thread::Builder::new().name("snapshot".to_owned()).spawn(write) {
            *locked(&self.unwritten) = Some(error.to_string());
        }
    }

    /// Takes a snapshot if one is due and none is being written. What is large in it is shared with the ledger.
    pub fn due(&self, ledger: &Ledger) -> Option<Snapshot> {
        let epoch = ledger.open_epoch();
        let is_full = ledger.held_bytes() > HELD_BYTES;
        let due = (is_offered(epoch) || is_full) && epoch > self.written.load(Ordering::Relaxed);
        if self.file.is_none() || !due || self.writing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let snapshot = ledger.snapshot();
        match &snapshot {
            Some(_) => self.written.store(epoch, Ordering::Relaxed),
            None => self.writing.store(false, Ordering::Release),
        }
        snapshot
    }

    /// Waits where so many bytes are in memory only, and some are being written. Where the disk takes none, why: going on would fill the
    /// memory with what it does not take.
    pub fn keep_up(&self, held_bytes: usize) -> Result<(), String> {
        if held_bytes <= HELD_BYTES_MAX {
            return Ok(());
        }
        while self.writing.load(Ordering::Acquire) {
            thread::sleep(PAUSE);
        }
        locked(&self.unwritten).clone().map_or(Ok(()), |reason| {
            let path = self.file.as_ref().map_or(FILE.into(), |file| file.path().display().to_string());
            Err(format!("{path} cannot be written: {reason}; hint: give it room on the disk and start again"))
        })
    }

    /// Writes a snapshot beside the execution, once all that `index` was given before is durable: a restart looks there for the
    /// snapshot's newest block.
    pub fn write(&self, snapshot: Snapshot, (chain_id, epoch): (u64, u64), index: Option<Store>) {
        let Some(file) = self.file.clone() else { return };
        let (height, base) = (Arc::clone(&self.height), Arc::clone(&self.base));
        let (offers, cache) = (Arc::clone(&self.offers), self.cache.clone());
        self.beside(move || {
            index.map_or(Ok(()), |index| index.commit_blocking(Vec::new())).map_err(|error| error.to_string())?;
            let offer = Offer::of(chain_id, epoch, &snapshot).ok_or("it is larger than a snapshot may be")?;
            let (newest, moment) = put(&file, &cache, &offer, &snapshot)?;
            height.store(snapshot.height(), Ordering::Relaxed);
            *locked(&base) = Some(newest);
            if is_offered(epoch.saturating_add(1)) {
                offers.add(offer, moment);
            }
            Ok(())
        });
    }

    /// Whether something could not be read.
    pub fn has_failed(&self) -> bool {
        self.cache.failure().is_some() || self.file.as_ref().is_some_and(|file| file.failure().is_some())
    }

    /// As if the disk gave nothing.
    #[cfg(test)]
    pub fn fail(&self) {
        let gone = |_: &'static str, _: &[u8]| Err::<Option<Vec<u8>>, String>("it is gone".to_owned());
        drop(Kept::open(ledger::Base::new(Arc::new(gone), self.cache.clone())));
    }

    /// Why the state cannot be read, if it cannot; then its file is set aside, so that the next start makes it anew.
    pub fn failure(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let failure = file.failure().map(ToString::to_string).or_else(|| Some(self.cache.failure()?.to_string()))?;
        let aside = file.path();
        Some(match file.set_aside() {
            Ok(()) => format!("{failure}; hint: {} is set aside, start again", aside.display()),
            Err(error) => format!("{failure}; hint: move {} away and start again ({error})", aside.display()),
        })
    }
}

/// That something is being written. However that ends, it is over then, and known how.
struct Writing {
    writing: Arc<AtomicBool>,
    unwritten: Arc<Mutex<Option<String>>>,
    failure: Option<String>,
}

impl Writing {
    fn ends(mut self, ended: Result<(), String>) {
        self.failure = ended.err();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(reason) = &self.failure {
            tracing::warn!(reason, "failed to write a snapshot or epochs");
        }
        *locked(&self.unwritten) = self.failure.take();
        self.writing.store(false, Ordering::Release);
    }
}

/// Writes epochs ahead of their snapshot; the moment in which they are there.
fn put_ahead(file: &StateFile, ahead: &Ahead) -> Result<Moment, StoreError> {
    file.put_beside(ahead.rows().into_iter().map(change).collect())?;
    file.moment()
}

/// After the same epochs everywhere, so that all offer the same.
fn is_offered(open_epoch: u64) -> bool {
    open_epoch.is_multiple_of(EVERY)
}

/// Writes a snapshot in one commit: what may rest on it, and the moment in which it is there.
pub(crate) fn put(
    file: &StateFile,
    cache: &ledger::Cache,
    offer: &Offer,
    snapshot: &Snapshot,
) -> Result<(Bases, Moment), String> {
    if let Some(failure) = cache.failure() {
        return Err(failure.to_string());
    }
    let older = file.moment().map_err(|error| error.to_string())?;
    let older = ledger::Base::new(StateFile::reader(older), cache.clone());
    let rows = snapshot.kept().rows_since(&older).map_err(|error| error.to_string())?;
    let beside = rows.into_iter().map(change).chain(beside(offer, snapshot.bytes())).collect();
    let (world, moment) = file.write(snapshot.world(), beside).map_err(|error| error.to_string())?;
    let own = ledger::Base::new(StateFile::reader(moment.clone()), cache.clone());
    Ok(((world, snapshot.kept().written_to(own)), moment))
}

type Read = (Ledger, Offer, Moment);

/// What the file holds, in one moment.
fn read(file: &StateFile, cache: &ledger::Cache, begin: &Ledger) -> Result<Option<Read>, String> {
    let moment = file.moment().map_err(|error| error.to_string())?;
    let get = |key: &[u8]| moment.get(LEDGER, key).map_err(|error| error.to_string());
    let Some(head) = get(HEAD)? else {
        let begun = moment.scan(STATE_PAGES, &[], 1, 0).map_err(|error| error.to_string())?;
        return if begun.is_empty() {
            Ok(None)
        } else {
            Err("it was begun from others and never came to an end".to_owned())
        };
    };
    let offer = Offer::decode(&head).map_err(|error| format!("its head: {error}"))?;
    let mut bytes = Vec::new();
    for chunk in 0..offer.chunks.len() {
        bytes.extend_from_slice(&get(&chunk_key(chunk))?.ok_or_else(|| format!("chunk {chunk} is missing"))?);
    }
    let world = file.world(moment.clone()).map_err(|error| error.to_string())?;
    if Digest(world.root().0) != offer.state_root {
        return Err("it is beside another state".to_owned());
    }
    let own = ledger::Base::new(StateFile::reader(moment.clone()), cache.clone());
    let kept = Kept::open(own).map_err(|error| error.to_string())?;
    let ledger = Ledger::restore(&bytes, world, kept).map_err(|error| error.to_string())?;
    if ledger.genesis() != begin.genesis() {
        return Err("it is another network's".to_owned());
    }
    Ok(Some((ledger, offer, moment)))
}

#[cfg(test)]
mod tests;
