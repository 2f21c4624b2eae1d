//! Openings of receipts that wait to be judged: in memory while there is room for them, then on the disk until it is their turn.
//!
//! As many receipts may wait as anybody anchors, and each may have an opening of 896 KiB. Both rooms are bounded; who finds none
//! waits for one with its opening in hand, and is not judged before its window closes at worst, which is said. Nothing outlives a restart: openings are asked for again.

use std::{
    borrow::Cow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use protocol::{Canonical as _, Opening};
use storage::{Change, Store, StoreError};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

const WAITING: &str = "waiting";
/// What rooms are counted in.
const UNIT_BYTES: usize = 1 << 10;
const MEMORY_BYTES: usize = 64 << 20;
const DISK_BYTES: usize = 16 << 30;

#[derive(Clone)]
pub(crate) struct Openings {
    store: Store,
    memory: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    /// Rows are of an audit, not of a receipt: one may be under way twice.
    tickets: Arc<AtomicU64>,
}

/// An opening that waits; dropping it forgets it.
pub(crate) struct Kept {
    place: Place,
    _room: OwnedSemaphorePermit,
}

enum Place {
    Memory(Box<Opening>),
    Disk(Row),
}

struct Row {
    store: Store,
    ticket: u64,
}

impl Drop for Row {
    fn drop(&mut self) {
        let (store, ticket) = (self.store.clone(), self.ticket);
        // Without a runtime the auditor has ended, and the next one begins with nothing.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = store.commit(vec![Change::remove(WAITING, ticket.to_be_bytes())]).await {
                tracing::warn!(ticket, %error, "failed to forget an opening: it takes room until a restart");
            }
        });
    }
}

impl Openings {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // What was left by another run is of no use; what cannot be removed cannot be opened either.
        let _ = std::fs::remove_file(path);
        let rooms = [MEMORY_BYTES, DISK_BYTES].map(|bytes| Arc::new(Semaphore::new(bytes / UNIT_BYTES)));
        let [memory, disk] = rooms;
        Ok(Self { store: Store::open(path, &[WAITING])?, memory, disk, tickets: Arc::default() })
    }

    pub async fn keep(&self, opening: Opening) -> Result<Kept, StoreError> {
        let bytes = opening.encode();
        let units = u32::try_from(bytes.len() / UNIT_BYTES).unwrap_or(u32::MAX).saturating_add(1);
        if let Ok(room) = Arc::clone(&self.memory).try_acquire_many_owned(units) {
            return Ok(Kept { place: Place::Memory(Box::new(opening)), _room: room });
        }
        drop(opening);
        let room = Arc::clone(&self.disk).acquire_many_owned(units).await.map_err(|_| StoreError::Closed)?;
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.store.commit(vec![Change::put(WAITING, ticket.to_be_bytes(), bytes)]).await?;
        Ok(Kept { place: Place::Disk(Row { store: self.store.clone(), ticket }), _room: room })
    }
}

impl Kept {
    pub fn opening(&self) -> Result<Cow<'_, Opening>, StoreError> {
        match &self.place {
            Place::Memory(opening) => Ok(Cow::Borrowed(opening)),
            Place::Disk(Row { store, ticket }) => {
                let gone = || StoreError::Read("an opening that was kept is not there".to_owned());
                let bytes = store.get(WAITING, &ticket.to_be_bytes())?.ok_or_else(gone)?;
                Opening::decode(&bytes).map(Cow::Owned).map_err(|_| gone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lies::tests::opening;

    #[tokio::test]
    async fn openings_beyond_the_memory_wait_on_the_disk_and_none_beyond_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openings.redb");
        let all = Openings {
            memory: Arc::new(Semaphore::new(2)),
            disk: Arc::new(Semaphore::new(1)),
            ..Openings::open(&path).unwrap()
        };
        let in_memory = [all.keep(opening()).await.unwrap(), all.keep(opening()).await.unwrap()];
        let on_disk = all.keep(opening()).await.unwrap();
        assert!(matches!(in_memory.each_ref().map(|kept| &kept.place), [Place::Memory(_), Place::Memory(_)]));
        assert!(matches!(&on_disk.place, Place::Disk(_)));
        assert_eq!(on_disk.opening().unwrap(), in_memory[0].opening().unwrap());
        let short = Duration::from_millis(20);
        assert!(tokio::time::timeout(short, all.keep(opening())).await.is_err(), "there is no room");
        drop(on_disk);
        let next = all.keep(opening()).await.unwrap();
        assert!(next.opening().is_ok());
        // What is judged leaves nothing behind, nor does another run.
        while all.store.get(WAITING, &0_u64.to_be_bytes()).unwrap().is_some() {
            tokio::task::yield_now().await;
        }
        std::mem::forget(next);
        all.store.close();
        assert!(Openings::open(&path).unwrap().store.get(WAITING, &1_u64.to_be_bytes()).unwrap().is_none());
    }
}
