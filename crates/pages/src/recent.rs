//! What was used lately, bounded in bytes.

use std::collections::BTreeMap;

/// What was used lately: when the newer half is full, the older half goes and the newer becomes the older.
pub struct Recent<K, T> {
    newer: BTreeMap<K, (T, usize)>,
    older: BTreeMap<K, (T, usize)>,
    newer_bytes: usize,
    older_bytes: usize,
    half: usize,
}

impl<K: Ord + Clone, T: Clone> Recent<K, T> {
    /// Of at most about twice so many bytes.
    pub fn new(half: usize) -> Self {
        Self { newer: BTreeMap::new(), older: BTreeMap::new(), newer_bytes: 0, older_bytes: 0, half }
    }

    pub fn bytes(&self) -> usize {
        self.newer_bytes.saturating_add(self.older_bytes)
    }

    pub fn get(&mut self, key: &K) -> Option<T> {
        if let Some((item, _)) = self.newer.get(key) {
            return Some(item.clone());
        }
        let (item, bytes) = self.older.remove(key)?;
        self.older_bytes = self.older_bytes.saturating_sub(bytes);
        self.put(key.clone(), item.clone(), bytes);
        Some(item)
    }

    pub fn put(&mut self, key: K, item: T, bytes: usize) {
        if self.newer_bytes.saturating_add(bytes) > self.half {
            self.older = std::mem::take(&mut self.newer);
            self.older_bytes = std::mem::take(&mut self.newer_bytes);
        }
        if self.newer.insert(key, (item, bytes)).is_none() {
            self.newer_bytes = self.newer_bytes.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_lately_stays_and_the_rest_goes_when_the_bytes_are_used_up() {
        let mut recent = Recent::new(100);
        for index in 0..200 {
            recent.put(index, index, 10);
            assert_eq!(recent.get(&0), Some(0), "asked for all the time");
            assert!(recent.bytes() <= 200);
        }
        assert_eq!(recent.get(&1), None);
        assert_eq!(recent.get(&199), Some(199));
    }
}
