//! The store of a simulated machine: tables in memory that hold after a crash what the file would hold.
//!
//! A commit is acknowledged when the simulation lets the disk write, in the order in which commits came. A crash keeps all that was
//! acknowledged and, of what was on its way, the first so many commits whole. Starts no thread and reads no clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::{
    failure::StoreError,
    moment::Entry,
    store::{Change, Durable},
};

/// A handle on such a store; clones share it.
#[derive(Clone, Default)]
pub struct SimulatedStore(Arc<Mutex<Disk>>);

/// Who waits for a commit.
type Waits = oneshot::Sender<Result<(), StoreError>>;

#[derive(Default)]
struct Disk {
    tables: BTreeMap<&'static str, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Commits on their way, oldest first, and who waits for each.
    under_way: Vec<(Vec<Change>, Waits)>,
}

impl Disk {
    fn apply(&mut self, changes: Vec<Change>) {
        for Change { table, key, value } in changes {
            let table = self.tables.entry(table).or_default();
            match value {
                Some(value) => _ = table.insert(key, value),
                None => _ = table.remove(&key),
            }
        }
    }
}

impl SimulatedStore {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands `changes` over; what is handed over first is written first.
    pub fn submit(&self, changes: Vec<Change>) -> Durable {
        let (done, durable) = oneshot::channel();
        self.disk().under_way.push((changes, done));
        Durable(durable)
    }

    /// Commits that are handed over and not written.
    pub fn under_way(&self) -> usize {
        self.disk().under_way.len()
    }

    /// Writes all that was handed over, and answers everyone.
    pub fn write(&self) {
        let mut disk = self.disk();
        for (changes, done) in std::mem::take(&mut disk.under_way) {
            disk.apply(changes);
            // A caller that no longer waits has its data all the same.
            let _ = done.send(Ok(()));
        }
    }

    /// Ends everything: of the commits on their way the first so many are written, and nobody is answered.
    pub fn crash(&self, written: usize) {
        let mut disk = self.disk();
        for (changes, _) in std::mem::take(&mut disk.under_way).into_iter().take(written) {
            disk.apply(changes);
        }
    }

    /// What was written of a key.
    pub fn get(&self, table: &'static str, key: &[u8]) -> Option<Vec<u8>> {
        self.disk().tables.get(table)?.get(key).cloned()
    }

    /// All that was written of a table, in the order of keys.
    pub fn entries(&self, table: &'static str) -> Vec<Entry> {
        let disk = self.disk();
        let rows = disk.tables.get(table).into_iter().flatten();
        rows.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "table";

    fn keys(store: &SimulatedStore) -> Vec<Vec<u8>> {
        store.entries(TABLE).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_commit_is_acknowledged_once_it_is_written_and_then_survives_a_crash() {
        let store = SimulatedStore::default();
        let mut durable = store.submit(vec![Change::put(TABLE, "a", "1"), Change::put(TABLE, "b", "2")]);
        assert!(durable.poll().is_none() && keys(&store).is_empty());
        store.write();
        assert!(matches!(durable.poll(), Some(Ok(()))));
        let mut removed = store.submit(vec![Change::remove(TABLE, "a")]);
        store.crash(0);
        assert!(matches!(removed.poll(), Some(Err(StoreError::Closed))));
        assert_eq!(store.get(TABLE, b"a"), Some(b"1".to_vec()));
        assert_eq!(keys(&store), [b"a", b"b"]);
        assert_eq!((store.get(TABLE, b"c"), store.get("other", b"a")), (None, None));
    }

    #[test]
    fn a_crash_leaves_the_first_commits_whole_and_tells_nobody() {
        let store = SimulatedStore::default();
        let commits = [vec!["a", "b"], vec!["c"], vec!["d"]];
        let put = |keys: &Vec<&str>| store.submit(keys.iter().map(|key| Change::put(TABLE, *key, "x")).collect());
        let mut durable: Vec<Durable> = commits.iter().map(put).collect();
        assert_eq!(store.under_way(), 3);
        store.crash(2);
        assert_eq!(keys(&store), [b"a", b"b", b"c"]);
        assert!(durable.iter_mut().all(|one| matches!(one.poll(), Some(Err(StoreError::Closed)))));
        assert_eq!(store.under_way(), 0);
    }
}
