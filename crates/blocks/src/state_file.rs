//! The newest state on the disk, and beside it whatever belongs to the same height: one file, one commit for all of it.
//!
//! A crash leaves the commit before or the commit after, never some of each. What is read is checked against the root by `evm`; a file
//! that cannot be read is set aside, because whoever has the blocks can make it anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::B256;
use crypto::Digest;
use evm::{Arriving, Base, Cache, Reader, Row, STATE_CODES, STATE_PAGES, STATE_TABLES, STATE_USES, StateError, World};
use pages::{Leaf, PageError};
use storage::{Change, Moment, Store, StoreError};
use thiserror::Error;

/// Rows that are looked at in one go.
const STRIDE: usize = 4_096;
const STRIDE_BYTES: usize = 8 << 20;

/// Why the state could not be written or read.
#[derive(Debug, Error)]
pub enum StateFileError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("failed to read the state: {missing} of what it names is not in its file")]
    Incomplete { missing: String },
}

/// A state on the disk, which moves forward.
pub struct StateFile {
    store: Store,
    tables: Vec<&'static str>,
    path: PathBuf,
    cache: Cache,
}

impl StateFile {
    /// Opens or makes the file with tables of the owner's own beside the state's. What is read of the state is kept in memory up to
    /// about so many bytes.
    pub fn open(path: &Path, beside: &[&'static str], cache_bytes: usize) -> Result<Self, StoreError> {
        let tables: Vec<&'static str> = STATE_TABLES.iter().chain(beside).copied().collect();
        let store = match Store::open(path, &tables) {
            Err(StoreError::Damaged { cause, .. }) => {
                set_aside(path)
                    .map_err(|error| StoreError::Open { path: path.to_owned(), cause: error.to_string() })?;
                Store::open(path, &tables).map_err(|error| match error {
                    StoreError::Damaged { path, .. } => StoreError::Damaged { path, cause },
                    other => other,
                })?
            }
            opened => opened?,
        };
        Ok(Self { store, tables, path: path.to_owned(), cache: Cache::new(cache_bytes) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first thing of the state that could not be read: what was executed since means nothing.
    pub fn failure(&self) -> Option<&StateError> {
        self.cache.failure()
    }

    /// All of it as of the newest commit.
    pub fn moment(&self) -> Result<Moment, StoreError> {
        self.store.moment(&self.tables)
    }

    /// Reads its tables as of a moment, the state's and those beside it.
    pub fn reader(moment: Moment) -> Reader {
        Arc::new(move |table: &'static str, key: &[u8]| moment.get(table, key).map_err(|error| error.to_string()))
    }

    fn base(&self, moment: Moment) -> Base {
        Base::new(Self::reader(moment), self.cache.clone())
    }

    /// The state as of a moment.
    pub fn world(&self, moment: Moment) -> Result<World, StateFileError> {
        Ok(World::open(self.base(moment))?)
    }

    /// Makes the file hold this marked state in place of the one that it has, and what is beside it, whole or not at all. Returns what
    /// states may rest on that come from this one, and the moment in which it is there.
    pub fn write(&self, marked: &World, beside: Vec<Change>) -> Result<(Base, Moment), StateFileError> {
        let older = self.world(self.moment()?)?;
        let rows = marked.rows_since(&older)?;
        self.store.commit_blocking(rows.into_iter().map(change).chain(beside).collect())?;
        let moment = self.moment()?;
        Ok((marked.written_to(self.base(moment.clone())), moment))
    }

    /// Writes some of a state that is on its way, and says nothing about the whole.
    pub fn put(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        self.store.commit_blocking(rows.into_iter().map(change).collect())
    }

    /// Writes what is beside the state.
    pub fn put_beside(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.store.commit_blocking(changes)
    }

    /// A row as it is now.
    pub fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(table, key)
    }

    /// Makes a state of pages and code that arrived, with what is beside it: all are looked at again, and what belongs to another
    /// state is removed.
    pub fn settle(&self, root: B256, leaves: u64, beside: Vec<Change>) -> Result<(), StateFileError> {
        let moment = self.moment()?;
        let (mut arriving, mut stale) = (Arriving::new(root, leaves), Vec::new());
        self.each(&moment, STATE_PAGES, |name, bytes| {
            let is_wanted = arriving.wanted().is_some_and(|(_, wanted)| wanted == name);
            if !is_wanted || arriving.take(bytes, None).is_err() {
                stale.push(Change::remove(STATE_PAGES, name));
            }
        })?;
        let mut codes = 0_usize;
        self.each(&moment, STATE_CODES, |hash, bytes| {
            let whole = B256::try_from(hash).is_ok_and(|hash| Arriving::code(&hash, bytes).is_ok());
            if whole && arriving.names_code(hash) {
                codes = codes.saturating_add(1);
            } else {
                stale.push(Change::remove(STATE_CODES, hash));
            }
        })?;
        self.each(&moment, STATE_USES, |hash, _| stale.push(Change::remove(STATE_USES, hash)))?;
        let missing = arriving.wanted().map(|(_, name)| format!("a page ({})", alloy_primitives::hex::encode(name)));
        let Some(rows) = arriving.finish() else {
            return Err(StateFileError::Incomplete { missing: missing.unwrap_or_default() });
        };
        if rows.len() != codes.saturating_add(1) {
            return Err(StateFileError::Incomplete { missing: "some code".to_owned() });
        }
        // Removed first where both are said of one row: the sort of a commit keeps their order.
        Ok(self.store.commit_blocking(stale.into_iter().chain(rows.into_iter().map(change)).chain(beside).collect())?)
    }

    /// Makes a tree beside the state of pages that arrived: all are looked at again, and what belongs to another tree is removed.
    pub fn settle_tree<L: Leaf>(&self, root: Digest, leaves: u64) -> Result<(), StateFileError> {
        let moment = self.moment()?;
        let (mut arriving, mut changes) = (pages::Arriving::<L>::new(root, leaves), Vec::new());
        self.each(&moment, L::PAGES, |name, bytes| {
            let is_wanted = arriving.wanted().is_some_and(|wanted| wanted == name);
            if !is_wanted || arriving.take(bytes, None).is_err() {
                changes.push(Change::remove(L::PAGES, name));
            }
        })?;
        let missing = arriving.wanted().map(|name| format!("a page ({})", alloy_primitives::hex::encode(name)));
        let Some(row) = arriving.finish() else {
            return Err(StateFileError::Incomplete { missing: missing.unwrap_or_default() });
        };
        changes.push(change(row));
        Ok(self.store.commit_blocking(changes)?)
    }

    /// Removes all of a table beside the state, some at a time.
    pub fn clear(&self, table: &'static str) -> Result<(), StoreError> {
        loop {
            let entries = self.moment()?.scan(table, &[], STRIDE, STRIDE_BYTES)?;
            if entries.is_empty() {
                return Ok(());
            }
            self.store.commit_blocking(entries.into_iter().map(|(key, _)| Change::remove(table, key)).collect())?;
        }
    }

    fn each(&self, moment: &Moment, table: &'static str, mut look: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let mut from = Vec::new();
        loop {
            let entries = moment.scan(table, &from, STRIDE, STRIDE_BYTES)?;
            let Some((last, _)) = entries.last() else { return Ok(()) };
            // The next key there can be.
            from = [last.as_slice(), &[0]].concat();
            entries.iter().for_each(|(key, value)| look(key, value));
        }
    }

    /// Gives the file another name: the next start begins without it. What is open stays open.
    pub fn set_aside(&self) -> io::Result<()> {
        set_aside(&self.path)
    }

    /// Returns once the file is closed, if nobody holds a moment of it.
    pub fn close(self) {
        self.store.close();
    }
}

/// A row as a change of the file.
pub fn change(row: Row) -> Change {
    Change { table: row.table, key: row.key, value: row.value }
}

fn set_aside(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    fs::rename(path, name)
}
