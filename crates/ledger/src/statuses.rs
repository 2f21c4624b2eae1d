//! Where each anchored receipt stands: a row of the tree, of which only what changed since the last close is held here.
//!
//! What cannot be read counts as not there. Its base remembers that: whoever keeps the ledger on a disk stops, and nothing of the block
//! counts.

use std::{collections::BTreeMap, sync::Arc};

use pages::{Change, Tree};
use protocol::{Canonical as _, Digest, ReceiptStatus, registry::state_key};

use crate::leaf::Leaf;

#[derive(Clone, Debug, Default)]
pub(crate) struct Statuses {
    touched: BTreeMap<Digest, ReceiptStatus>,
    /// All rows of the ledger, as of the last close.
    pub tree: Tree<Leaf>,
}

impl Statuses {
    /// As they stand after a close.
    pub fn closed(tree: Tree<Leaf>) -> Self {
        Self { touched: BTreeMap::new(), tree }
    }

    pub fn get(&self, receipt: &Digest) -> Option<ReceiptStatus> {
        if let Some(status) = self.touched.get(receipt) {
            return Some(status.clone());
        }
        let leaf = self.tree.find(&state_key::receipt(receipt)).ok().flatten()?;
        ReceiptStatus::decode(leaf.row_bytes()).ok()
    }

    pub fn put(&mut self, status: ReceiptStatus) {
        self.touched.insert(status.receipt, status);
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
        for status in std::mem::take(&mut self.touched).into_values() {
            let leaf = Leaf::status(&status);
            changes.push((*pages::Leaf::key(&leaf), Some(Arc::new(leaf))));
        }
    }
}
