//! The state's tree as of each recent close: what a proof as of then is made from. They share what did not change.

use std::collections::VecDeque;

use pages::Tree;

use crate::{base::Base, leaf::Leaf};

/// How many closed epochs can be proven as of: a certificate that comes later than this comes too late.
pub const RECENT_EPOCHS: usize = 128;
/// Fewer where they differ by more than this, but never fewer than so many.
const RECENT_BYTES: usize = 48 << 20;
const RECENT_LEAST: usize = 8;

#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    /// The newest closed epoch.
    newest: u64,
    /// Oldest first.
    trees: VecDeque<Tree<Leaf>>,
}

impl Archive {
    /// With the trees up to the newest closed epoch, oldest first.
    pub fn of(newest: u64, trees: Vec<Tree<Leaf>>) -> Self {
        Self { newest, trees: trees.into() }
    }

    pub fn push(&mut self, epoch: u64, tree: Tree<Leaf>) {
        self.newest = epoch;
        let is_far = |oldest: &Tree<Leaf>| tree.bytes_since(oldest) > RECENT_BYTES;
        while self.trees.len() >= RECENT_EPOCHS
            || (self.trees.len() >= RECENT_LEAST && self.trees.front().is_some_and(is_far))
        {
            self.trees.pop_front();
        }
        self.trees.push_back(tree);
    }

    /// All of them, oldest first.
    pub fn trees(&self) -> Vec<Tree<Leaf>> {
        self.trees.iter().cloned().collect()
    }

    /// The state's tree as of the end of a recent epoch.
    pub fn tree_as_of(&self, epoch: u64) -> Option<&Tree<Leaf>> {
        let newer = usize::try_from(self.newest.checked_sub(epoch)?).ok()?;
        self.trees.get(self.trees.len().checked_sub(1)?.checked_sub(newer)?)
    }

    /// Lets go of what the disk has of those that are not older.
    pub fn rest_on(&mut self, base: &Base) {
        for tree in &mut self.trees {
            tree.rest_on(&base.pages);
        }
    }
}
