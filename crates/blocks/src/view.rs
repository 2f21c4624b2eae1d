//! What readers see of a chain: the newest blocks with their states, what waits, and older blocks from the disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256};
use evm::{Block, Chain, StateError, StateRead as _, Transaction, World};
use rpc::{Event, NodeError, Place, State, SubmitError};
use tokio::sync::broadcast;

use crate::index::Index;
use crate::pool::Pool;

/// News that a slow listener may be behind.
const NEWS: usize = 4_096;

/// A block with the states around it.
#[derive(Clone)]
pub struct Recent {
    pub block: Arc<Block>,
    /// The state before its first transaction.
    pub before: World,
    /// The state that it led to.
    pub world: World,
}

/// The part that changes.
pub struct Live {
    /// The newest blocks, never empty; states share what they have in common.
    recent: BTreeMap<u64, Recent>,
    /// Where these blocks are by hash, and what is in them.
    numbers: HashMap<B256, u64>,
    places: HashMap<B256, Place>,
    pub pool: Pool,
}

/// One chain for any number of readers and one writer. No lock is held while anything is executed or read from a disk.
pub struct View {
    chain: Chain,
    index: Option<Index>,
    live: RwLock<Live>,
    events: broadcast::Sender<Event>,
}

impl Live {
    /// Of these blocks, at least one.
    pub fn new(recent: impl IntoIterator<Item = Recent>, pool: Pool) -> Self {
        let mut live = Self { recent: BTreeMap::new(), numbers: HashMap::new(), places: HashMap::new(), pool };
        for recent in recent {
            live.push(recent);
        }
        live
    }

    /// Adds the newest block. What it holds waits no longer, nor what its senders' accounts have passed; returns the latter.
    pub fn push(&mut self, recent: Recent) -> Vec<B256> {
        let header = &recent.block.header;
        let mut passed = Vec::new();
        for (index, transaction) in recent.block.transactions.iter().enumerate() {
            let hash = transaction.hash();
            self.places.insert(hash, Place { block: header.number, index });
            self.pool.remove(&hash);
        }
        for transaction in &recent.block.transactions {
            let (sender, world) = (transaction.sender(), &recent.world);
            let next = world.account(&sender).ok().flatten().map_or(0, |account| account.nonce);
            passed.extend(self.pool.settle(&sender, next));
        }
        self.numbers.insert(header.hash(), header.number);
        self.recent.insert(header.number, recent);
        passed
    }

    /// Forgets blocks below `oldest`, but never the newest.
    pub fn forget_below(&mut self, oldest: u64) {
        while self.recent.len() > 1 && self.recent.keys().next().is_some_and(|number| *number < oldest) {
            let Some((_, gone)) = self.recent.pop_first() else { return };
            self.numbers.remove(&gone.block.header.hash());
            for transaction in &gone.block.transactions {
                self.places.remove(&transaction.hash());
            }
        }
    }

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

    /// Takes a transaction into the pool, as the newest state allows; returns what it replaced.
    pub fn admit(&mut self, transaction: &Arc<Transaction>) -> Result<Option<Arc<Transaction>>, SubmitError> {
        let newest = self.newest().map_err(|error| SubmitError::Closed(error.to_string()))?;
        let base_fee = evm::base_fee_after(newest.block.header.inner());
        self.admit_at(transaction, base_fee)
    }

    /// The same where the base fee is another: zero for what was admitted before.
    pub fn admit_at(
        &mut self,
        transaction: &Arc<Transaction>,
        base_fee: u64,
    ) -> Result<Option<Arc<Transaction>>, SubmitError> {
        if self.places.contains_key(&transaction.hash()) {
            return Err(SubmitError::AlreadyKnown);
        }
        let failed = |error: StateError| SubmitError::Closed(error.to_string());
        let newest = self.newest().map_err(|error| SubmitError::Closed(error.to_string()))?;
        let account = newest.world.account(&transaction.sender()).map_err(failed)?;
        let code = match account.filter(evm::Account::has_code) {
            Some(account) => newest.world.code(&account.code_hash).map_err(failed)?,
            None => None,
        };
        self.pool.add(Arc::clone(transaction), account.as_ref(), code.as_ref(), base_fee)
    }
}

impl View {
    /// Without an index, blocks that are no longer recent are gone.
    pub fn new(chain: Chain, index: Option<Index>, live: Live) -> Self {
        Self { chain, index, live: RwLock::new(live), events: broadcast::channel(NEWS).0 }
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    pub fn index(&self) -> Option<&Index> {
        self.index.as_ref()
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

    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// A recent block; the newest is always there.
    pub fn recent(&self, number: u64) -> Option<Recent> {
        self.live().recent.get(&number).cloned()
    }

    /// What the index says of something that is not recent: nothing about blocks that are not told yet.
    fn indexed<T>(
        &self,
        read: impl FnOnce(&Index) -> Result<Option<T>, NodeError>,
        number: impl FnOnce(&T) -> u64,
    ) -> Result<Option<T>, NodeError> {
        let Some(index) = &self.index else { return Ok(None) };
        let head = self.live().head();
        Ok(read(index)?.filter(|found| number(found) <= head))
    }

    pub fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError> {
        if let Some(recent) = self.live().recent.get(&number) {
            return Ok(Some(recent.block.header.clone()));
        }
        self.indexed(|index| index.header(number), |_| number)
    }

    pub fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError> {
        if let Some(recent) = self.live().recent.get(&number) {
            return Ok(Some(Arc::clone(&recent.block)));
        }
        self.indexed(|index| index.block(number), |_| number)
    }

    pub fn number_of(&self, block: &B256) -> Result<Option<u64>, NodeError> {
        if let Some(number) = self.live().numbers.get(block) {
            return Ok(Some(*number));
        }
        self.indexed(|index| index.number_of(block), |number| *number)
    }

    pub fn place_of(&self, transaction: &B256) -> Result<Option<Place>, NodeError> {
        if let Some(place) = self.live().places.get(transaction) {
            return Ok(Some(*place));
        }
        self.indexed(|index| index.place_of(transaction), |place| place.block)
    }

    /// A recent block's state: the one before its transactions, or after them.
    fn state_of(&self, number: u64, choose: impl FnOnce(&Recent) -> &World) -> Result<State, NodeError> {
        let live = self.live();
        let oldest = live.recent.keys().next().copied().unwrap_or_default();
        let found = live.recent.get(&number).map(|recent| Arc::new(choose(recent).clone()) as State);
        found.ok_or(NodeError::StateGone { asked: number, oldest })
    }

    pub fn state(&self, number: u64) -> Result<State, NodeError> {
        self.state_of(number, |recent| &recent.world)
    }

    pub fn state_before(&self, number: u64) -> Result<State, NodeError> {
        self.state_of(number, |recent| &recent.before)
    }
}
