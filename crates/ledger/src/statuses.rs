//! Where each anchored receipt stands: a row of the tree, of which only what changed since the last close is held here.
//!
//! What cannot be read counts as not there. Its base remembers that: whoever keeps the ledger on a disk stops, and nothing of the block
//! counts.

use std::{collections::BTreeMap, sync::Arc};

use pages::{Change, PageError, Tree};
use protocol::{Canonical as _, Digest, ReceiptStatus, registry::state_key};

use crate::leaf::Leaf;

#[derive(Clone, Debug, Default)]
pub(crate) struct Statuses {
    /// Shared with questions; copied where one is asked while a block changes it.
    touched: Arc<BTreeMap<Digest, ReceiptStatus>>,
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
        if let Some(status) = self.touched.get(receipt) {
            return Ok(Some(status.clone()));
        }
        let leaf = self.tree.find(&state_key::receipt(receipt))?;
        Ok(leaf.and_then(|leaf| ReceiptStatus::decode(leaf.row_bytes()).ok()))
    }

    /// Of many, in their order: a page of the tree is read once for all of them that are in it.
    pub fn find_all(&self, receipts: &[Digest]) -> Result<Vec<Option<ReceiptStatus>>, PageError> {
        let mut found: Vec<_> = receipts.iter().map(|receipt| self.touched.get(receipt).cloned()).collect();
        let missing = receipts.iter().enumerate().filter(|(place, _)| matches!(found.get(*place), Some(None)));
        let mut missing: Vec<_> = missing.map(|(place, receipt)| (state_key::receipt(receipt), place)).collect();
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
        Arc::make_mut(&mut self.touched).insert(status.receipt, status);
    }

    /// Changes a row; nothing happens where there is none.
    pub fn change(&mut self, receipt: &Digest, change: impl FnOnce(&mut ReceiptStatus)) {
        if let Some(mut status) = self.get(receipt) {
            change(&mut status);
            self.put(status);
        }
    }

    /// Adds what was touched since the last close, and closes.
    pub fn close(&mut self, changes: &mut Vec<Change<Leaf>>) {
        for status in Arc::unwrap_or_clone(std::mem::take(&mut self.touched)).into_values() {
            let leaf = Leaf::status(&status);
            changes.push((*pages::Leaf::key(&leaf), Some(Arc::new(leaf))));
        }
    }
}
