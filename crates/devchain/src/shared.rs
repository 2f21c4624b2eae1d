//! What readers see of the chain: the newest blocks with their states, what waits, and older blocks from the disk.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, keccak256};
use evm::{Block, NextBlock, StateRead as _, World};
use rpc::{Event, NodeError};
use tokio::sync::broadcast;

use crate::kept::Kept;
use crate::pool::Pool;

/// News that a slow listener may be behind.
const NEWS: usize = 4_096;

/// A block, and the state that it led to.
#[derive(Clone)]
pub(crate) struct Recent {
    pub block: Arc<Block>,
    pub world: World,
}

/// The part that changes.
pub(crate) struct Live {
    /// The newest blocks, never empty; states share what they have in common.
    pub recent: BTreeMap<u64, Recent>,
    pub pool: Pool,
}

pub(crate) struct Shared {
    pub kept: Kept,
    live: RwLock<Live>,
    pub events: broadcast::Sender<Event>,
}

impl Shared {
    pub fn new(kept: Kept, live: Live) -> Self {
        Self { kept, live: RwLock::new(live), events: broadcast::channel(NEWS).0 }
    }

    pub fn live(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn live_mut(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever listens; nobody has to.
    pub fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Live {
    pub fn head(&self) -> u64 {
        self.recent.keys().next_back().copied().unwrap_or_default()
    }

    pub fn newest(&self) -> Result<&Recent, NodeError> {
        let newest = self.recent.values().next_back();
        newest.ok_or_else(|| NodeError::Read("there is no block".to_owned()))
    }

    /// The nonce that the newest state expects of an account.
    pub fn nonce(&self, address: &Address) -> u64 {
        let newest = self.recent.values().next_back();
        let account = newest.and_then(|recent| recent.world.account(address).ok().flatten());
        account.unwrap_or_default().nonce
    }
}

/// What the next block's header needs beside its parent.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings {
    pub beneficiary: Address,
    pub clock: fn() -> u64,
}

impl Surroundings {
    pub fn next(&self, parent: &Sealed<Header>) -> NextBlock {
        NextBlock {
            // A clock that was set back must not stop the chain.
            timestamp: (self.clock)().max(parent.timestamp),
            beneficiary: self.beneficiary,
            // Foreseeable, and no worse for that: whoever runs this chain could choose anything.
            prev_randao: keccak256(parent.hash()),
            ..NextBlock::default()
        }
    }
}
