//! Where each anchored receipt stands: a row of the tree, of which only what changed since the last close is held here.
//!
//! What cannot be read counts as not there. Its base remembers that: whoever keeps the ledger on a disk stops, and nothing of the block
//! counts.

use std::{collections::BTreeMap, sync::Arc};

use pages::{Change, PageError, Tree};
use protocol::{Canonical as _, Digest, ReceiptStatus, registry::state_key};

use crate::leaf::Leaf;

/// Rows by their keys in the tree, so that a key is hashed once and rows come to the close in its order. They lie beside the map: a
/// block adds many, and what the map has to move for that is small.
#[derive(Clone, Debug, Default)]
struct Touched {
    places: BTreeMap<Digest, usize>,
    rows: Vec<ReceiptStatus>,
}

impl Touched {
    fn get(&self, key: &Digest) -> Option<&ReceiptStatus> {
        self.rows.get(*self.places.get(key)?)
    }

    fn put(&mut self, key: Digest, status: ReceiptStatus) {
        let place = *self.places.entry(key).or_insert(self.rows.len());
        match self.rows.get_mut(place) {
            Some(row) => *row = status,
            None => self.rows.push(status),
        }
    }

    fn in_order(&self) -> impl Iterator<Item = (Digest, &ReceiptStatus)> {
        self.places.iter().filter_map(|(key, place)| Some((*key, self.rows.get(*place)?)))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Statuses {
    /// Shared with questions; copied where one is asked while a block changes it.
    touched: Arc<Touched>,
    /// All rows of the ledger, as of the last close.
    pub tree: Tree<Leaf>,
}

impl Statuses {
    /// As they stand after a close.
    pub fn closed(tree: Tree<Leaf>) -> Self {
        Self { touched: Arc::default(), tree }
    }

    /// The same for whoever only asks: pointers.
    pub fn aside(&self) -> Self {
        Self { touched: Arc::clone(&self.touched), tree: self.tree.aside() }
    }

    pub fn get(&self, receipt: &Digest) -> Option<ReceiptStatus> {
        self.find(receipt).ok().flatten()
    }

    pub fn find(&self, receipt: &Digest) -> Result<Option<ReceiptStatus>, PageError> {
        let key = state_key::receipt(receipt);
        if let Some(status) = self.touched.get(&key) {
            return Ok(Some(status.clone()));
        }
        let leaf = self.tree.find(&key)?;
        Ok(leaf.and_then(|leaf| ReceiptStatus::decode(leaf.row_bytes()).ok()))
    }

    /// Of many, in their order: a page of the tree is read once for all of them that are in it.
    pub fn find_all(&self, receipts: &[Digest]) -> Result<Vec<Option<ReceiptStatus>>, PageError> {
        let keys: Vec<Digest> = receipts.iter().map(state_key::receipt).collect();
        let mut found: Vec<_> = keys.iter().map(|key| self.touched.get(key).cloned()).collect();
        let missing = keys.iter().enumerate().filter(|(place, _)| matches!(found.get(*place), Some(None)));
        let mut missing: Vec<_> = missing.map(|(place, key)| (*key, place)).collect();
        missing.sort_unstable();
        let keys: Vec<Digest> = missing.iter().map(|(key, _)| *key).collect();
        for ((_, place), leaf) in missing.iter().zip(self.tree.find_all(&keys)?) {
            if let (Some(place), Some(leaf)) = (found.get_mut(*place), leaf) {
                *place = ReceiptStatus::decode(leaf.row_bytes()).ok();
            }
        }
        Ok(found)
    }

    /// The same; what cannot be read counts as not there.
    pub fn get_all(&self, receipts: &[Digest]) -> Vec<Option<ReceiptStatus>> {
        self.find_all(receipts).unwrap_or_else(|_| receipts.iter().map(|_| None).collect())
    }

    pub fn put(&mut self, status: ReceiptStatus) {
        Arc::make_mut(&mut self.touched).put(state_key::receipt(&status.receipt), status);
    }

    /// Changes a row; nothing happens where there is none.
    pub fn change(&mut self, receipt: &Digest, change: impl FnOnce(&mut ReceiptStatus)) {
        if let Some(mut status) = self.get(receipt) {
            change(&mut status);
            self.put(status);
        }
    }

    /// Adds what was touched since the last close, in the order of the tree, and closes.
    pub fn close(&mut self, changes: &mut Vec<Change<Leaf>>) {
        let touched = std::mem::take(&mut self.touched);
        changes.extend(touched.in_order().map(|(key, status)| (key, Some(Arc::new(Leaf::status(key, status))))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::tests::status;

    /// Keys and bytes of what a close changes.
    fn closed(statuses: &mut Statuses) -> Vec<(Digest, Vec<u8>)> {
        let mut changes = Vec::new();
        statuses.close(&mut changes);
        changes.into_iter().map(|(key, leaf)| (key, leaf.unwrap().row_bytes().to_vec())).collect()
    }

    #[test]
    fn a_close_has_each_row_once_as_it_was_last_in_the_order_of_the_tree_whatever_came_first() {
        let (mut forth, mut back) = (Statuses::default(), Statuses::default());
        (0..200).for_each(|seed| forth.put(status(seed, 0)));
        (0..200).rev().for_each(|seed| back.put(status(seed, 1)));
        for seed in (0..200).step_by(3) {
            forth.change(&Digest([seed; 32]), |status| status.audits = 2);
            back.put(status(seed, 2));
        }
        (0..200).filter(|seed| seed % 3 > 0).for_each(|seed| back.put(status(seed, 0)));
        let rows = closed(&mut forth);
        assert_eq!(closed(&mut back), rows);
        assert!(rows.len() == 200 && rows.is_sorted_by(|(low, _), (high, _)| low < high));
        for seed in 0..200 {
            let expected = status(seed, if seed % 3 == 0 { 2 } else { 0 });
            assert!(rows.contains(&(state_key::receipt(&expected.receipt), expected.encode())));
        }
        assert!(closed(&mut forth).is_empty(), "a close begins anew");
    }

    #[test]
    fn what_was_touched_is_found_by_its_receipt_and_a_question_never_sees_what_comes_later() {
        let mut statuses = Statuses::default();
        statuses.put(status(1, 0));
        let aside = statuses.aside();
        statuses.put(status(1, 5));
        statuses.put(status(2, 6));
        let asked = [2, 3, 1].map(|seed| Digest([seed; 32]));
        assert_eq!(statuses.find_all(&asked).unwrap(), [Some(status(2, 6)), None, Some(status(1, 5))]);
        assert_eq!(aside.find_all(&asked).unwrap(), [None, None, Some(status(1, 0))]);
        assert_eq!(asked.map(|receipt| statuses.get(&receipt)), [Some(status(2, 6)), None, Some(status(1, 5))]);
    }
}
