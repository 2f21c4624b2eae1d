//! Openings of receipts that wait to be judged: in memory while there is room for them, then on the disk until it is their turn.
//!
//! As many receipts may wait as anybody anchors, and each may have an opening of 896 KiB. Both rooms are bounded, and so is what is on its way to
//! the disk; who finds none forgets its opening, waits for room with empty hands, and asks for the opening again once it has some. It is not judged before its window
//! closes at worst, which is said. Nothing outlives a restart: openings are asked for again.

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
use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

const WAITING: &str = "waiting";
/// What rooms are counted in.
const UNIT_BYTES: usize = 1 << 10;
const MEMORY_BYTES: usize = 64 << 20;
const DISK_BYTES: usize = 16 << 30;
/// Of openings that are being written, which are in memory until they are.
const HAND_BYTES: usize = 64 << 20;

/// Why an opening is not kept.
#[derive(Debug, Error)]
pub(crate) enum KeepError {
    /// The worker can be asked for it again once there is `Openings::room` for so many units.
    #[error("there is no room for it; hint: this auditor has too much to judge")]
    NoRoom { units: u32 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone)]
pub(crate) struct Openings {
    store: Store,
    memory: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    hands: Arc<Semaphore>,
    /// Rows are of an audit, not of a receipt: one may be under way twice.
    tickets: Arc<AtomicU64>,
}

/// Room on the disk for an opening that is not there yet.
pub(crate) struct Room(OwnedSemaphorePermit);

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
        let rooms = [MEMORY_BYTES, DISK_BYTES, HAND_BYTES].map(|bytes| Arc::new(Semaphore::new(bytes / UNIT_BYTES)));
        let [memory, disk, hands] = rooms;
        Ok(Self { store: Store::open(path, &[WAITING])?, memory, disk, hands, tickets: Arc::default() })
    }

    /// Waits until there is room on the disk for so many units.
    pub async fn room(&self, units: u32) -> Result<Room, StoreError> {
        Arc::clone(&self.disk).acquire_many_owned(units).await.map(Room).map_err(|_| StoreError::Closed)
    }

    /// Keeps an opening in that room, or wherever there is some at once: nobody waits for room with an opening in hand.
    pub async fn keep(&self, opening: Opening, room: Option<Room>) -> Result<Kept, KeepError> {
        let bytes = opening.encode();
        let units = units_of(&bytes);
        let room = room.filter(|Room(permit)| permit.num_permits() >= units as usize);
        if room.is_none()
            && let Ok(room) = Arc::clone(&self.memory).try_acquire_many_owned(units)
        {
            return Ok(Kept { place: Place::Memory(Box::new(opening)), _room: room });
        }
        drop(opening);
        let refused = || KeepError::NoRoom { units };
        let _hand = self.hands.try_acquire_many(units).map_err(|_| refused())?;
        let room = match room {
            Some(Room(room)) => room,
            None => Arc::clone(&self.disk).try_acquire_many_owned(units).map_err(|_| refused())?,
        };
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.store.commit(vec![Change::put(WAITING, ticket.to_be_bytes(), bytes)]).await?;
        Ok(Kept { place: Place::Disk(Row { store: self.store.clone(), ticket }), _room: room })
    }
}

fn units_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len() / UNIT_BYTES).unwrap_or(u32::MAX).saturating_add(1)
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

    fn rooms(path: &Path, units: [usize; 3]) -> Openings {
        let [memory, disk, hands] = units.map(|units| Arc::new(Semaphore::new(units)));
        Openings { memory, disk, hands, ..Openings::open(path).unwrap() }
    }

    #[tokio::test]
    async fn openings_beyond_the_memory_wait_on_the_disk_and_none_beyond_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openings.redb");
        let all = rooms(&path, [2, 1, 1]);
        let in_memory = [all.keep(opening(), None).await.unwrap(), all.keep(opening(), None).await.unwrap()];
        let on_disk = all.keep(opening(), None).await.unwrap();
        assert!(matches!(in_memory.each_ref().map(|kept| &kept.place), [Place::Memory(_), Place::Memory(_)]));
        assert!(matches!(&on_disk.place, Place::Disk(_)));
        assert_eq!(on_disk.opening().unwrap(), in_memory[0].opening().unwrap());
        // Refused at once, and forgotten: whoever was refused waits with empty hands.
        let refused = all.keep(opening(), None).await;
        assert!(matches!(refused, Err(KeepError::NoRoom { units: 1 })), "there is no room");
        let short = Duration::from_millis(20);
        assert!(tokio::time::timeout(short, all.room(1)).await.is_err(), "nor any to wait for");
        drop(on_disk);
        let room = all.room(1).await.unwrap();
        assert!(matches!(all.keep(opening(), None).await, Err(KeepError::NoRoom { .. })), "it is whose turn it was");
        let next = all.keep(opening(), Some(room)).await.unwrap();
        assert!(next.opening().is_ok());
        // What is judged leaves nothing behind, nor does another run.
        while all.store.get(WAITING, &0_u64.to_be_bytes()).unwrap().is_some() {
            tokio::task::yield_now().await;
        }
        std::mem::forget(next);
        all.store.close();
        assert!(Openings::open(&path).unwrap().store.get(WAITING, &1_u64.to_be_bytes()).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_being_written_is_bounded_and_room_that_is_too_small_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let all = rooms(&folder.path().join("slow.redb"), [0, 4, 0]);
        let room = all.room(4).await.unwrap();
        assert!(matches!(all.keep(opening(), Some(room)).await, Err(KeepError::NoRoom { units: 1 })));
        assert!(all.room(4).await.is_ok(), "who was refused keeps nothing");
        let all = rooms(&folder.path().join("small.redb"), [1, 4, 4]);
        let room = all.room(0).await.unwrap();
        let kept = all.keep(opening(), Some(room)).await.unwrap();
        assert!(matches!(kept.place, Place::Memory(_)));
    }
}
