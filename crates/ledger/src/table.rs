//! Rows of one kind, in the order of their keys, that remember what they were when the last epoch closed.
//!
//! The authenticated tree is brought up to date once an epoch, from what changed; reading as of the close needs no copy.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::RangeInclusive,
    sync::Arc,
};

use pages::Change;
use protocol::{Canonical, Digest};

use crate::leaf::Leaf;

/// A record with its place among its kind and in the state.
pub(crate) trait Row: Canonical + Clone + PartialEq {
    type Key: Ord + Clone;
    fn key(&self) -> Self::Key;
    fn state_key(key: &Self::Key) -> Digest;
}

#[derive(Clone, Debug)]
pub(crate) struct Table<R: Row> {
    rows: BTreeMap<R::Key, R>,
    /// What stood under each key touched since the last close.
    before: BTreeMap<R::Key, Option<R>>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), before: BTreeMap::new() }
    }
}

impl<R: Row> Table<R> {
    /// A table as it stands after a close; `None` unless the rows are in strict order of their keys.
    pub fn closed(rows: Vec<R>) -> Option<Self> {
        let sorted = rows.windows(2).all(|pair| matches!(pair, [low, high] if low.key() < high.key()));
        let rows = rows.into_iter().map(|row| (row.key(), row)).collect();
        sorted.then_some(Self { rows, before: BTreeMap::new() })
    }

    pub fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(key)
    }

    pub fn contains(&self, key: &R::Key) -> bool {
        self.rows.contains_key(key)
    }

    pub fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.values()
    }

    pub fn range(&self, keys: RangeInclusive<R::Key>) -> impl Iterator<Item = &R> {
        self.rows.range(keys).map(|(_, row)| row)
    }

    /// State keys and canonical bytes of all rows.
    pub fn entries(&self) -> impl Iterator<Item = (Digest, Vec<u8>)> {
        self.rows.iter().map(|(key, row)| (R::state_key(key), row.encode()))
    }

    pub fn put(&mut self, row: R) {
        let key = row.key();
        let old = self.rows.insert(key.clone(), row);
        self.before.entry(key).or_insert(old);
    }

    pub fn remove(&mut self, key: &R::Key) -> Option<R> {
        let old = self.rows.remove(key)?;
        self.before.entry(key.clone()).or_insert_with(|| Some(old.clone()));
        Some(old)
    }

    /// Changes a row in place; nothing happens where there is none.
    pub fn change(&mut self, key: &R::Key, change: impl FnOnce(&mut R)) {
        if let Some(row) = self.rows.get_mut(key) {
            if let Entry::Vacant(entry) = self.before.entry(key.clone()) {
                entry.insert(Some(row.clone()));
            }
            change(row);
        }
    }

    /// The row as it was when the last epoch closed.
    pub fn at_close(&self, key: &R::Key) -> Option<&R> {
        self.before.get(key).map_or_else(|| self.rows.get(key), Option::as_ref)
    }

    /// All rows as they were when the last epoch closed, in order.
    pub fn rows_at_close(&self) -> Vec<&R> {
        let mut rows: BTreeMap<_, _> = self.rows.iter().collect();
        for (key, before) in &self.before {
            match before {
                Some(row) => rows.insert(key, row),
                None => rows.remove(key),
            };
        }
        rows.into_values().collect()
    }

    /// Adds what changed since the last close, and closes.
    pub fn close(&mut self, changes: &mut Vec<Change<Leaf>>) {
        for (key, before) in std::mem::take(&mut self.before) {
            let after = self.rows.get(&key);
            if before.as_ref() != after {
                let key = R::state_key(&key);
                changes.push((key, after.map(|row| Arc::new(Leaf::row(key, row.encode())))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::PublicKey;

    use super::*;
    use crate::records::AccountRecord;

    fn account(key: u8, nonce: u64) -> AccountRecord {
        AccountRecord { key: PublicKey([key; 32]), nonce }
    }

    fn closed(table: &mut Table<AccountRecord>) -> usize {
        let mut changes = Vec::new();
        table.close(&mut changes);
        changes.len()
    }

    #[test]
    fn a_table_remembers_what_it_was_at_the_close() {
        let mut table = Table::default();
        table.put(account(1, 10));
        table.put(account(2, 20));
        assert!(table.rows_at_close().is_empty());
        assert_eq!(closed(&mut table), 2);
        table.change(&PublicKey([1; 32]), |row| row.nonce = 11);
        table.change(&PublicKey([1; 32]), |row| row.nonce = 12);
        table.remove(&PublicKey([2; 32]));
        table.put(account(3, 30));
        assert_eq!(table.rows_at_close(), [&account(1, 10), &account(2, 20)]);
        assert_eq!(table.at_close(&PublicKey([3; 32])), None);
        assert_eq!(closed(&mut table), 3);
        assert_eq!(table.rows_at_close(), [&account(1, 12), &account(3, 30)]);
    }

    #[test]
    fn what_is_changed_back_is_no_change() {
        let mut table = Table::default();
        table.put(account(1, 10));
        closed(&mut table);
        table.put(account(2, 1));
        table.remove(&PublicKey([2; 32]));
        table.change(&PublicKey([1; 32]), |row| row.nonce = 11);
        table.change(&PublicKey([1; 32]), |row| row.nonce = 10);
        assert_eq!(closed(&mut table), 0);
    }

    #[test]
    fn rows_out_of_order_are_no_table() {
        assert!(Table::closed(vec![account(1, 1), account(2, 1)]).is_some());
        assert!(Table::closed(vec![account(2, 1), account(1, 1)]).is_none());
        assert!(Table::closed(vec![account(1, 1), account(1, 2)]).is_none());
    }
}
