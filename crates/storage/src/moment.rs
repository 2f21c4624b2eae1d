//! What a store holds as of one commit, whatever is written later.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use redb::ReadOnlyTable;

use crate::failure::StoreError;

/// A key and what it holds.
pub type Entry = (Vec<u8>, Vec<u8>);

type Opened = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Some tables as of one commit. Clones share it. While one is held, the file keeps what it shows: hold few, and not for long.
#[derive(Clone)]
pub struct Moment(Arc<BTreeMap<&'static str, Opened>>);

impl Moment {
    pub(crate) fn new(tables: BTreeMap<&'static str, Opened>) -> Self {
        Self(Arc::new(tables))
    }

    fn read<T>(
        &self,
        table: &'static str,
        read: impl FnOnce(&Opened) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let opened = self.0.get(table).ok_or_else(|| StoreError::Read(format!("there is no table {table}")))?;
        guarded(|| read(opened).map_err(|error| StoreError::Read(error.to_string())))
            .unwrap_or_else(|| Err(StoreError::Read("the file is damaged".to_owned())))
    }

    pub fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(table, |table| Ok(table.get(key)?.map(|value| value.value().to_vec())))
    }

    /// Entries from key `from` on, in the order of keys, until they are `limit` or their values so many bytes: at least one, if there
    /// is one.
    pub fn scan(&self, table: &'static str, from: &[u8], limit: usize, bytes: usize) -> Result<Vec<Entry>, StoreError> {
        self.read(table, |table| {
            let (mut entries, mut taken) = (Vec::new(), 0_usize);
            for entry in table.range(from..)?.take(limit) {
                let (key, value) = entry?;
                taken = taken.saturating_add(value.value().len());
                if taken > bytes && !entries.is_empty() {
                    break;
                }
                entries.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(entries)
        })
    }
}

/// Does what panics on a file that is not as it was written.
pub(crate) fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    // Nothing that is left half done is looked at again: a read changes nothing.
    catch_unwind(AssertUnwindSafe(read)).ok()
}

#[cfg(test)]
mod tests {
    use crate::{Change, Store, StoreError};

    const TABLES: &[&str] = &["one", "two"];

    #[test]
    fn a_moment_stays_as_it_was_while_others_write() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.redb"), TABLES).unwrap();
        let put = |key: &str, value: &str| store.commit_blocking(vec![Change::put("one", key, value)]).unwrap();
        put("a", "1");
        put("b", "2");
        let moment = store.moment(TABLES).unwrap();
        put("a", "3");
        store.commit_blocking(vec![Change::remove("one", "b")]).unwrap();
        assert_eq!(moment.get("one", b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(moment.scan("one", b"", 9, 9).unwrap().len(), 2);
        assert_eq!(moment.scan("one", b"b", 9, 0).unwrap(), vec![(b"b".to_vec(), b"2".to_vec())]);
        assert_eq!(moment.scan("one", b"", 9, 1).unwrap().len(), 1);
        assert_eq!(moment.scan("one", b"", 1, 9).unwrap().len(), 1);
        assert!(moment.scan("two", b"", 9, 9).unwrap().is_empty());
        assert!(matches!(moment.get("three", b"a"), Err(StoreError::Read(_))));
        let later = store.moment(TABLES).unwrap();
        assert_eq!(later.get("one", b"a").unwrap(), Some(b"3".to_vec()));
    }
}
