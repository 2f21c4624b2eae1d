//! Tables of bytes in one file (redb), with group commit: whoever writes at the same time shares one sync.
//!
//! A commit that was acknowledged survives a crash; one that was not is there whole or not at all.

use std::{io, path::Path, sync::Arc, thread, time::Duration};

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, TableDefinition};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};

use crate::{
    failure::StoreError,
    moment::{Entry, Moment, guarded},
};

/// Commits that may wait for the disk before writers are held back.
const QUEUE: usize = 1_024;

/// Their bytes, in units: one commit alone may be larger.
const WAITING_UNITS: u32 = 32 << 10;
const UNIT_BYTES: usize = 1 << 10;

/// Pages of a file that are kept in memory; the operating system caches more where it has room.
const CACHE_BYTES: usize = 32 << 20;

/// Between two looks at a full queue.
const FULL_WAIT: Duration = Duration::from_millis(1);

/// Looks at a file that is being closed.
const CLOSING_LOOKS: u32 = 1_000;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// One change of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub table: &'static str,
    pub key: Vec<u8>,
    /// `None` removes the key.
    pub value: Option<Vec<u8>>,
}

impl Change {
    pub fn put(table: &'static str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: Some(value.into()) }
    }

    pub fn remove(table: &'static str, key: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: None }
    }
}

struct Commit {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), StoreError>>,
    /// Its share of what may wait; given back when it is dropped.
    _room: OwnedSemaphorePermit,
}

fn units(changes: &[Change]) -> u32 {
    let bytes = |change: &Change| size_of::<Change>() + change.key.len() + change.value.as_ref().map_or(0, Vec::len);
    let units = changes.iter().map(bytes).sum::<usize>().div_ceil(UNIT_BYTES);
    u32::try_from(units).map_or(WAITING_UNITS, |units| units.clamp(1, WAITING_UNITS))
}

/// Changes on their way to the disk.
#[must_use]
pub struct Durable(pub(crate) oneshot::Receiver<Result<(), StoreError>>);

impl Durable {
    /// Returns when the changes survive a crash.
    pub async fn wait(self) -> Result<(), StoreError> {
        self.0.await.map_err(|_| StoreError::Closed)?
    }
}

impl Durable {
    /// Whether they survive a crash by now; `None` while that is not known.
    pub fn poll(&mut self) -> Option<Result<(), StoreError>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(StoreError::Closed)),
        }
    }
}

/// A handle on one file; clones share it. The file closes when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    commits: mpsc::Sender<Commit>,
    room: Arc<Semaphore>,
}

impl Store {
    /// Opens or makes the file with these tables.
    pub fn open(path: &Path, tables: &[&'static str]) -> Result<Self, StoreError> {
        let failed = |cause: String| StoreError::Open { path: path.to_owned(), cause };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        let database = Arc::new(opened(path, tables)?);
        let (commits, queue) = mpsc::channel(QUEUE);
        let writer = Arc::clone(&database);
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run_commits(&writer, queue))
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { database, commits, room: Arc::new(Semaphore::new(WAITING_UNITS as usize)) })
    }

    /// What these tables hold now, for as long as it is wanted.
    pub fn moment(&self, tables: &[&'static str]) -> Result<Moment, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.database.begin_read()?;
            let opened = tables.iter().map(|name| Ok((*name, transaction.open_table(Table::new(name))?)));
            Ok(Moment::new(opened.collect::<Result<_, redb::Error>>()?))
        };
        let read = guarded(|| read().map_err(|error| StoreError::Read(error.to_string())));
        read.unwrap_or_else(|| Err(StoreError::Read("the file is damaged".to_owned())))
    }

    pub fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let table = self.database.begin_read()?.open_table(Table::new(table))?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        read().map_err(|error| StoreError::Read(error.to_string()))
    }

    /// Up to `limit` entries from key `from` on, in the order of keys.
    pub fn scan(&self, table: &'static str, from: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let table = self.database.begin_read()?.open_table(Table::new(table))?;
            let mut entries = Vec::new();
            for entry in table.range(from..)?.take(limit) {
                let (key, value) = entry?;
                entries.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(entries)
        };
        read().map_err(|error| StoreError::Read(error.to_string()))
    }

    /// The entry with the greatest key.
    pub fn last(&self, table: &'static str) -> Result<Option<Entry>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let table = self.database.begin_read()?.open_table(Table::new(table))?;
            Ok(table.last()?.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
        };
        read().map_err(|error| StoreError::Read(error.to_string()))
    }

    /// Makes all of `changes` durable together; returns when they are.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.submit(changes).await?.wait().await
    }

    /// Hands `changes` over; what is handed over first is written first. Waiting for the disk is left to the caller,
    /// who may let go of a lock before.
    pub async fn submit(&self, changes: Vec<Change>) -> Result<Durable, StoreError> {
        let room = Arc::clone(&self.room).acquire_many_owned(units(&changes)).await.map_err(|_| StoreError::Closed)?;
        let (done, durable) = oneshot::channel();
        self.commits.send(Commit { changes, done, _room: room }).await.map_err(|_| StoreError::Closed)?;
        Ok(Durable(durable))
    }

    /// The same as `submit`, where no runtime can be waited in: the thread sleeps where too much waits already.
    pub fn submit_sleeping(&self, changes: Vec<Change>) -> Result<Durable, StoreError> {
        let units = units(&changes);
        let room = loop {
            match Arc::clone(&self.room).try_acquire_many_owned(units) {
                Ok(room) => break room,
                Err(TryAcquireError::NoPermits) => thread::sleep(FULL_WAIT),
                Err(TryAcquireError::Closed) => return Err(StoreError::Closed),
            }
        };
        let (done, durable) = oneshot::channel();
        let mut commit = Commit { changes, done, _room: room };
        loop {
            commit = match self.commits.try_send(commit) {
                Ok(()) => return Ok(Durable(durable)),
                Err(mpsc::error::TrySendError::Full(commit)) => commit,
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(StoreError::Closed),
            };
            thread::sleep(FULL_WAIT);
        }
    }

    /// The same as `submit` without any wait: `None`, and nothing is written, where too much waits already.
    pub fn try_submit(&self, changes: Vec<Change>) -> Option<Durable> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(units(&changes)).ok()?;
        let (done, durable) = oneshot::channel();
        self.commits.try_send(Commit { changes, done, _room: room }).ok().map(|()| Durable(durable))
    }

    /// The same as `commit`, for callers outside an async runtime.
    pub fn commit_blocking(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.submit_sleeping(changes)?.0.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    /// Returns once the file is closed, or soon after where another handle has it still.
    pub fn close(self) {
        let Self { database, commits, room: _ } = self;
        drop(commits);
        for _ in 0..CLOSING_LOOKS {
            if Arc::strong_count(&database) == 1 {
                return;
            }
            thread::sleep(FULL_WAIT);
        }
    }

    /// Bytes that wait for the disk, in whole KiB.
    pub fn waiting_bytes(&self) -> usize {
        (WAITING_UNITS as usize).saturating_sub(self.room.available_permits()).saturating_mul(UNIT_BYTES)
    }
}

/// The file with its tables.
fn opened(path: &Path, tables: &[&'static str]) -> Result<Database, StoreError> {
    let failed = |cause: String| StoreError::Open { path: path.to_owned(), cause };
    let damaged = |cause: String| StoreError::Damaged { path: path.to_owned(), cause };
    let open = || {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
            DatabaseError::Storage(StorageError::Corrupted(cause)) => damaged(cause),
            DatabaseError::Storage(StorageError::Io(cause)) if cause.kind() == io::ErrorKind::InvalidData => {
                damaged(cause.to_string())
            }
            DatabaseError::DatabaseAlreadyOpen => {
                failed("it is in use; hint: what it belongs to runs already, and is to be stopped first".to_owned())
            }
            other => failed(other.to_string()),
        })?;
        let names: Vec<Change> = tables.iter().map(|table| Change { table, key: Vec::new(), value: None }).collect();
        write_changes(&database, names).map_err(|error| match error {
            redb::Error::Corrupted(cause) => damaged(cause),
            other => failed(other.to_string()),
        })?;
        Ok(database)
    };
    guarded(open).unwrap_or_else(|| Err(damaged("its structure contradicts itself".to_owned())))
}

/// Takes everything that waits, writes it in one transaction, answers everyone.
fn run_commits(database: &Database, mut queue: mpsc::Receiver<Commit>) {
    let mut waiting = Vec::with_capacity(QUEUE);
    while queue.blocking_recv_many(&mut waiting, QUEUE) > 0 {
        let changes = waiting.iter_mut().flat_map(|commit| std::mem::take(&mut commit.changes)).collect();
        let result = write_changes(database, changes).map_err(|error| StoreError::Commit(error.to_string()));
        for commit in waiting.drain(..) {
            // A caller that no longer waits has its data all the same.
            let _ = commit.done.send(result.clone());
        }
    }
}

/// In one transaction; each is let go of once the file's own pages have it.
fn write_changes(database: &Database, mut changes: Vec<Change>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    // Opening a table costs more than a change of it. The sort is stable: what came first to a key stays first.
    changes.sort_by_key(|change| change.table);
    let mut rest = changes.into_iter().peekable();
    while let Some(name) = rest.peek().map(|change| change.table) {
        let mut table = transaction.open_table(Table::new(name))?;
        while let Some(change) = rest.next_if(|change| change.table == name) {
            match &change.value {
                Some(value) => table.insert(change.key.as_slice(), value.as_slice())?,
                None => table.remove(change.key.as_slice())?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "table";

    fn open(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("store.redb"), &[TABLE]).unwrap()
    }

    #[tokio::test]
    async fn what_was_committed_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        store.commit(vec![Change::put(TABLE, "a", "1"), Change::put(TABLE, "b", "2")]).await.unwrap();
        store.commit(vec![Change::remove(TABLE, "a")]).await.unwrap();
        let path = folder.path().join("store.redb");
        store.close();
        let store = Store::open(&path, &[TABLE]).unwrap();
        assert_eq!(store.get(TABLE, b"a").unwrap(), None);
        assert_eq!(store.scan(TABLE, b"", 9).unwrap(), vec![(b"b".to_vec(), b"2".to_vec())]);
        assert_eq!(store.last(TABLE).unwrap(), Some((b"b".to_vec(), b"2".to_vec())));
    }

    #[tokio::test]
    async fn many_writers_share_syncs_and_all_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let writers: Vec<_> = (0..200_u32)
            .map(|i| {
                let store = store.clone();
                tokio::spawn(async move { store.commit(vec![Change::put(TABLE, i.to_be_bytes(), "x")]).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(store.scan(TABLE, b"", 1_000).unwrap().len(), 200);
        assert_eq!(store.scan(TABLE, &150_u32.to_be_bytes(), 10).unwrap().len(), 10);
    }

    #[test]
    fn what_is_handed_over_without_a_runtime_is_durable_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let mut handed: Vec<Durable> = (0..3_000_u32)
            .map(|i| store.submit_sleeping(vec![Change::put(TABLE, "k", i.to_be_bytes())]).unwrap())
            .collect();
        assert!(store.try_submit(vec![Change::put(TABLE, "tried", "x")]).is_some());
        store.commit_blocking(Vec::new()).unwrap();
        assert!(handed.iter_mut().all(|durable| matches!(durable.poll(), Some(Ok(())))));
        assert_eq!(store.get(TABLE, b"k").unwrap(), Some(2_999_u32.to_be_bytes().to_vec()));
        assert_eq!(store.get(TABLE, b"tried").unwrap(), Some(b"x".to_vec()));
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_a_larger_commit_waits_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let whole = WAITING_UNITS as usize * UNIT_BYTES;
        let large = |key: u8| vec![Change::put(TABLE, [key], vec![key; whole])];
        let mut first = store.submit_sleeping(large(1)).unwrap();
        assert!(store.try_submit(large(2)).is_none() || matches!(first.poll(), Some(Ok(()))));
        // Waits until there is room again.
        let mut second = store.submit_sleeping(large(3)).unwrap();
        assert!(matches!(first.poll(), Some(Ok(()))));
        store.commit_blocking(Vec::new()).unwrap();
        assert!(matches!(second.poll(), Some(Ok(()))));
        assert_eq!(store.get(TABLE, &[3]).unwrap().map(|value| value.len()), Some(whole));
    }

    #[test]
    fn a_second_opening_of_the_same_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _store = open(&folder);
        let again = Store::open(&folder.path().join("store.redb"), &[TABLE]);
        assert!(matches!(again, Err(StoreError::Open { cause, .. }) if cause.contains("runs already")));
    }
}
