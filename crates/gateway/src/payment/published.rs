//! Models whose publishers wrote down in the ledger's registry what they ask for, as far as that is known here.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use payments::price::Price;
use protocol::Digest;

/// A model with a price of its publisher's.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub price: Price,
    /// Id of its lineage in the books.
    pub lineage: Digest,
}

/// What is known of published models, by root.
#[derive(Default)]
pub struct PublishedModels(Mutex<BTreeMap<Digest, Published>>);

impl PublishedModels {
    pub fn of(&self, root: &Digest) -> Option<Published> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(root).copied()
    }

    pub fn put(&self, root: Digest, published: Published) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(root, published);
    }

    pub fn forget(&self, root: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(root);
    }
}
