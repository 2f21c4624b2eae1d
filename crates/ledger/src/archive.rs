//! The state's tree as of each recent close, and the EVM's state as of the newest ones: what proofs as of then are made from. They share
//! what did not change.

use std::collections::VecDeque;

use evm::World;
use pages::Tree;

use crate::{base::Base, leaf::Leaf};

/// How many closed epochs can be proven as of: a certificate that comes later than this comes too late.
pub const RECENT_EPOCHS: usize = 128;
const TREES: Bounds = Bounds { most: RECENT_EPOCHS, bytes: 24 << 20, least: 6 };
/// Accounts are proven as of the newest certified epoch, which is seldom older than the newest closed one.
const WORLDS: Bounds = Bounds { most: 16, bytes: 16 << 20, least: 4 };

/// How many are kept: fewer than the most where they differ by more than so many bytes, but never fewer than the least.
struct Bounds {
    most: usize,
    bytes: usize,
    least: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    /// The newest closed epoch.
    newest: u64,
    /// Oldest first.
    trees: VecDeque<Tree<Leaf>>,
    worlds: VecDeque<World>,
}

impl Archive {
    /// With the trees up to the newest closed epoch, oldest first, and the EVM's state as of that one.
    pub fn of(newest: u64, trees: Vec<Tree<Leaf>>, world: World) -> Self {
        Self { newest, trees: trees.into(), worlds: VecDeque::from([world]) }
    }

    pub fn push(&mut self, epoch: u64, tree: Tree<Leaf>, world: World) {
        self.newest = epoch;
        add(&mut self.trees, tree, &TREES, Tree::bytes_since);
        add(&mut self.worlds, world, &WORLDS, World::bytes_since);
    }

    /// All of them, oldest first.
    pub fn trees(&self) -> Vec<Tree<Leaf>> {
        self.trees.iter().cloned().collect()
    }

    /// The state's tree as of the end of a recent epoch.
    pub fn tree_as_of(&self, epoch: u64) -> Option<&Tree<Leaf>> {
        as_of(&self.trees, self.newest.checked_sub(epoch)?)
    }

    /// The EVM's state as of the end of one of the newest epochs.
    pub fn world_as_of(&self, epoch: u64) -> Option<&World> {
        as_of(&self.worlds, self.newest.checked_sub(epoch)?)
    }

    /// Lets go of what the disk has of those that are not older.
    pub fn rest_on(&mut self, world: &evm::Base, own: &Base) {
        for tree in &mut self.trees {
            tree.rest_on(&own.pages);
        }
        for old in &mut self.worlds {
            old.rest_on(world);
        }
    }
}

fn add<T>(kept: &mut VecDeque<T>, newest: T, bounds: &Bounds, bytes_since: impl Fn(&T, &T) -> usize) {
    let is_far = |oldest: &T| bytes_since(&newest, oldest) > bounds.bytes;
    while kept.len() >= bounds.most || (kept.len() >= bounds.least && kept.front().is_some_and(&is_far)) {
        kept.pop_front();
    }
    kept.push_back(newest);
}

/// The one that came so many before the newest.
fn as_of<T>(kept: &VecDeque<T>, newer: u64) -> Option<&T> {
    let newer = usize::try_from(newer).ok()?;
    kept.get(kept.len().checked_sub(1)?.checked_sub(newer)?)
}
