//! The newest blocks with their states, and what waits: what is in memory, within bounds.
//!
//! Bodies of blocks and states are bounded by number and by bytes, each by its own: a body that is dropped is read from the index,
//! a state that is dropped comes from the oldest that is here and what blocks overwrote (`undo`), or is gone. The newest block is always
//! whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256};
use evm::{Block, StateError, StateRead as _, Transaction, World};
use rpc::{NodeError, Place, SubmitError};

use crate::pool::Pool;

/// A block with the states around it.
#[derive(Clone)]
pub struct Recent {
    pub block: Arc<Block>,
    /// The state before its first transaction.
    pub before: World,
    /// The state that it led to.
    pub world: World,
}

/// How much of the past is kept in memory, the newest block not counted.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// States at most.
    pub states: u64,
    /// What these states hold at most beyond the newest.
    pub state_bytes: usize,
    /// What the blocks' transactions and receipts may take.
    pub body_bytes: usize,
}

impl Keep {
    /// So many states, in as much memory as a node has to spare.
    pub const fn states(states: u64) -> Self {
        Self { states, state_bytes: 64 << 20, body_bytes: 32 << 20 }
    }
}

/// What is in memory now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub states: usize,
    pub state_bytes: usize,
    pub bodies: usize,
    pub body_bytes: usize,
}

/// An older block.
struct Past {
    header: Sealed<Header>,
    /// Absent once it was dropped for its size.
    block: Option<Arc<Block>>,
    before: World,
    world: World,
    state_bytes: usize,
    body_bytes: usize,
}

/// The part of a chain that changes.
pub struct Live {
    newest: Option<Recent>,
    past: BTreeMap<u64, Past>,
    /// The oldest of the past whose body may still be here.
    bodies_from: u64,
    held: Held,
    /// Where these blocks are by hash, and what is in those that are whole.
    numbers: HashMap<B256, u64>,
    places: HashMap<B256, Place>,
    pub pool: Pool,
}

impl Live {
    /// Of these blocks, at least one, without a gap.
    pub fn new(recent: impl IntoIterator<Item = Recent>, pool: Pool) -> Self {
        let mut live = Self {
            newest: None,
            past: BTreeMap::new(),
            bodies_from: 0,
            held: Held::default(),
            numbers: HashMap::new(),
            places: HashMap::new(),
            pool,
        };
        let mut recent: Vec<Recent> = recent.into_iter().collect();
        recent.sort_by_key(|recent| recent.block.header.number);
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
        // What the older state holds beyond the newer is what the newer has replaced.
        let state_bytes = self.newest.as_ref().map_or(0, |older| recent.world.bytes_since(&older.world));
        if let Some(Recent { block, before, world }) = self.newest.replace(recent) {
            let (header, body_bytes) = (block.header.clone(), weight(&block));
            self.held.states = self.held.states.saturating_add(1);
            self.held.bodies = self.held.bodies.saturating_add(1);
            self.held.state_bytes = self.held.state_bytes.saturating_add(state_bytes);
            self.held.body_bytes = self.held.body_bytes.saturating_add(body_bytes);
            self.past
                .insert(header.number, Past { header, block: Some(block), before, world, state_bytes, body_bytes });
        }
        passed
    }

    /// Drops what is over the bounds, oldest first, but no body above the newest block that is `durable` in an index, and no state from
    /// that block's on: the oldest state that is here is one up to which the disk has everything. Where there is no index, a body stays as
    /// long as its state.
    pub fn trim(&mut self, keep: &Keep, durable: Option<u64>) {
        let oldest = self.head().saturating_sub(keep.states.saturating_sub(1));
        while let Some((&number, _)) = self.past.first_key_value() {
            let is_over = number < oldest || self.held.state_bytes > keep.state_bytes;
            if !is_over || durable.is_some_and(|durable| number >= durable) {
                break;
            }
            self.forget(number);
        }
        let Some(durable) = durable else { return };
        while self.held.body_bytes > keep.body_bytes {
            let next = self.past.range_mut(self.bodies_from..).next();
            let Some((number, past)) = next.filter(|(number, _)| **number <= durable) else { return };
            self.bodies_from = number.saturating_add(1);
            let (block, bytes) = (past.block.take(), std::mem::take(&mut past.body_bytes));
            self.drop_body(block, bytes);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(past) = self.past.remove(&number) else { return };
        self.numbers.remove(&past.header.hash());
        self.held.states = self.held.states.saturating_sub(1);
        self.held.state_bytes = self.held.state_bytes.saturating_sub(past.state_bytes);
        self.drop_body(past.block, past.body_bytes);
    }

    fn drop_body(&mut self, block: Option<Arc<Block>>, bytes: usize) {
        let Some(block) = block else { return };
        self.held.bodies = self.held.bodies.saturating_sub(1);
        self.held.body_bytes = self.held.body_bytes.saturating_sub(bytes);
        for transaction in &block.transactions {
            self.places.remove(&transaction.hash());
        }
    }

    /// What the past takes in memory; about, because nodes of states are counted and not measured.
    pub fn held(&self) -> Held {
        self.held
    }

    pub fn head(&self) -> u64 {
        self.newest.as_ref().map_or(0, |newest| newest.block.header.number)
    }

    pub fn newest(&self) -> Result<&Recent, NodeError> {
        self.newest.as_ref().ok_or_else(|| NodeError::Read("there is no block".to_owned()))
    }

    /// A block's header, if it is here.
    pub(crate) fn header(&self, number: u64) -> Option<&Sealed<Header>> {
        let newest = self.newest.as_ref().map(|newest| &newest.block.header);
        newest.filter(|header| header.number == number).or_else(|| Some(&self.past.get(&number)?.header))
    }

    /// A block, if it is here whole.
    pub(crate) fn block(&self, number: u64) -> Option<&Arc<Block>> {
        let newest = self.newest.as_ref().map(|newest| &newest.block);
        newest.filter(|block| block.header.number == number).or_else(|| self.past.get(&number)?.block.as_ref())
    }

    pub(crate) fn number_of(&self, block: &B256) -> Option<u64> {
        self.numbers.get(block).copied()
    }

    pub(crate) fn place_of(&self, transaction: &B256) -> Option<Place> {
        self.places.get(transaction).copied()
    }

    /// Whether a transaction waits here, or is in one of the blocks that are here whole.
    pub fn knows(&self, transaction: &B256) -> bool {
        self.places.contains_key(transaction) || self.pool.get(transaction).is_some()
    }

    /// The states before and after a block, if they are here.
    pub(crate) fn states(&self, number: u64) -> Option<(&World, &World)> {
        let newest = self.newest.as_ref().filter(|newest| newest.block.header.number == number);
        let newest = newest.map(|newest| (&newest.before, &newest.world));
        newest.or_else(|| self.past.get(&number).map(|past| (&past.before, &past.world)))
    }

    /// The oldest block whose states are here, and the state that it led to.
    pub(crate) fn oldest(&self) -> Result<(u64, &World), NodeError> {
        let past = self.past.first_key_value().map(|(number, past)| (*number, &past.world));
        past.map_or_else(|| self.newest().map(|newest| (newest.block.header.number, &newest.world)), Ok)
    }

    /// The nonce that the newest state expects of an account.
    pub fn nonce(&self, address: &Address) -> u64 {
        let account = self.newest.as_ref().and_then(|recent| recent.world.account(address).ok().flatten());
        account.unwrap_or_default().nonce
    }

    /// Takes a transaction into the pool, as the newest state allows; returns what had to go for it.
    pub fn admit(&mut self, transaction: &Arc<Transaction>) -> Result<Vec<Arc<Transaction>>, SubmitError> {
        let newest = self.newest().map_err(|error| SubmitError::Closed(error.to_string()))?;
        let base_fee = evm::base_fee_after(newest.block.header.inner());
        self.admit_at(transaction, base_fee)
    }

    /// The same where the base fee is another: zero for what was admitted before.
    pub fn admit_at(
        &mut self,
        transaction: &Arc<Transaction>,
        base_fee: u64,
    ) -> Result<Vec<Arc<Transaction>>, SubmitError> {
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

    /// Undoes what was admitted just now: it waits no more, and what had to go for it waits again.
    pub fn take_back(&mut self, transaction: &Transaction, gone: &[Arc<Transaction>]) {
        self.pool.remove(&transaction.hash());
        for gone in gone {
            let next = self.nonce(&gone.sender());
            self.pool.put_back(Arc::clone(gone), next);
        }
    }
}

/// About what a block takes in memory: its transactions and receipts, and where its transactions are.
fn weight(block: &Block) -> usize {
    const PLACE: usize = 2 * (size_of::<B256>() + size_of::<Place>());
    const LOG: usize = size_of::<alloy_primitives::Log>() + 4 * size_of::<B256>();
    let transactions = block.transactions.iter().map(|transaction| {
        // The bytes, and what was read from them.
        size_of::<Transaction>().saturating_add(PLACE).saturating_add(transaction.raw().len().saturating_mul(2))
    });
    let receipts = block.receipts.iter().map(|receipt| {
        let logs = receipt.logs().iter().map(|log| LOG.saturating_add(log.data.data.len()));
        logs.fold(size_of::<evm::Receipt>().saturating_add(receipt.output.len()), usize::saturating_add)
    });
    transactions.chain(receipts).fold(size_of::<Block>(), usize::saturating_add)
}
