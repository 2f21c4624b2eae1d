//! What lies beside a snapshot's bytes: the tree, and the epochs with their receipts; in memory, or on a disk, or some of each.
//!
//! A snapshot is written as rows of the ledger's own tables (`base`), whole or not at all, with its bytes. What is written of an epoch never
//! changes, so writing it again changes nothing.

use std::sync::Arc;

use pages::{PageError, Row, Tree};
use protocol::Digest;

use crate::{
    base::{Base, rows_of},
    closed::ClosedEpoch,
    leaf::Leaf,
};

/// The tree and the epochs as of one close.
#[derive(Clone, Debug)]
pub struct Kept {
    pub(crate) tree: Tree<Leaf>,
    /// The trees of the closes before, oldest first: no disk has them.
    pub(crate) recent: Vec<Tree<Leaf>>,
    /// The newest epochs, up to the close: those that `base` has not, or all of them.
    pub(crate) held: Vec<Arc<ClosedEpoch>>,
    pub(crate) base: Option<Base>,
}

impl Kept {
    /// The last of the trees is the close's; `None` if there is none.
    pub(crate) fn new(mut trees: Vec<Tree<Leaf>>, held: Vec<Arc<ClosedEpoch>>, base: Option<Base>) -> Option<Self> {
        let tree = trees.pop()?;
        Some(Self { tree, recent: trees, held, base })
    }

    /// What is on the disk.
    pub fn open(base: Base) -> Result<Self, PageError> {
        Ok(Self { tree: Tree::open(base.pages.clone())?, recent: Vec::new(), held: Vec::new(), base: Some(base) })
    }

    /// Root of the ledger's state, and how many rows it has.
    pub fn state(&self) -> (Digest, u64) {
        (self.tree.root(), self.tree.leaves())
    }

    /// All rows that make the disk hold this where it holds `older`, in one commit.
    pub fn rows_since(&self, older: &Base) -> Result<Vec<Row>, PageError> {
        let older = Tree::open(older.pages.clone())?;
        let mut rows = self.tree.rows_since(&older)?;
        self.held.iter().for_each(|closed| rows_of(closed, &mut rows));
        Ok(rows)
    }

    /// The base that came of writing this.
    pub fn written_to(&self, base: Base) -> Base {
        let pages = self.tree.written_to(base.pages.clone());
        let known = self.base.as_ref().map_or(0, |base| base.epochs);
        let epochs = self.held.last().map_or(known, |closed| closed.record.epoch.saturating_add(1));
        base.after(pages, epochs)
    }
}

/// Epochs that are written before the snapshot that speaks of them: they are only added, and count once it does.
#[derive(Clone, Debug)]
pub struct Ahead(pub(crate) Vec<Arc<ClosedEpoch>>);

impl Ahead {
    /// Their rows.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.0.iter().for_each(|closed| rows_of(closed, &mut rows));
        rows
    }

    /// The base that came of writing them.
    pub fn written_to(&self, base: Base) -> Base {
        base.with(self.0.last().map_or(0, |closed| closed.record.epoch.saturating_add(1)))
    }
}
