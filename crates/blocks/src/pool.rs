//! What waits for a block: at most one transaction for each nonce of a sender, none without the means to pay. Pure.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256};
use evm::{Account, Code, Refusal, Transaction};
use rpc::SubmitError;

/// A replacement must offer so many hundredths of what it replaces.
const REPLACEMENT: u128 = 110;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    pub transactions: usize,
    pub bytes: usize,
    /// Of one sender; also how far a nonce may be ahead.
    pub per_sender: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { transactions: 16_384, bytes: 64 << 20, per_sender: 1_024 }
    }
}

/// What a block still has room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub base_fee: u64,
    pub gas: u64,
    pub transactions: usize,
    pub bytes: usize,
}

impl Room {
    /// A block that only gas fills.
    pub fn of_gas(base_fee: u64, gas: u64) -> Self {
        Self { base_fee, gas, transactions: usize::MAX, bytes: usize::MAX }
    }

    fn less(self, transaction: &Transaction) -> Option<Self> {
        Some(Self {
            gas: self.gas.checked_sub(transaction.gas_limit())?,
            transactions: self.transactions.checked_sub(1)?,
            // A block puts the length before each.
            bytes: self.bytes.checked_sub(transaction.raw().len() + 5)?,
            ..self
        })
    }
}

struct Entry {
    transaction: Arc<Transaction>,
    arrival: u64,
}

/// What one sender has waiting.
#[derive(Default)]
struct Queue {
    entries: BTreeMap<u64, Entry>,
    /// The most that all of it may cost.
    cost: U256,
}

/// The waiting transactions.
pub struct Pool {
    limits: PoolLimits,
    senders: BTreeMap<Address, Queue>,
    places: HashMap<B256, (Address, u64)>,
    bytes: usize,
    arrivals: u64,
}

impl Pool {
    pub fn new(limits: PoolLimits) -> Self {
        Self { limits, senders: BTreeMap::new(), places: HashMap::new(), bytes: 0, arrivals: 0 }
    }

    /// Takes one, and returns what it replaced.
    pub fn add(
        &mut self,
        transaction: Arc<Transaction>,
        account: Option<&Account>,
        code: Option<&Code>,
        base_fee: u64,
    ) -> Result<Option<Arc<Transaction>>, SubmitError> {
        if self.places.contains_key(&transaction.hash()) {
            return Err(SubmitError::AlreadyKnown);
        }
        transaction.check_sender(account, code)?;
        let offered = transaction.envelope().max_fee_per_gas();
        if offered < base_fee.into() {
            return Err(Refusal::FeeTooLow { offered, base_fee }.into());
        }
        let account = account.copied().unwrap_or_default();
        self.check_nonce(&transaction, account.nonce)?;
        let replaced = self.replaceable(&transaction)?;
        self.check_means(&transaction, &account, replaced.as_deref())?;
        if let Some(replaced) = &replaced {
            self.remove(&replaced.hash());
        } else {
            self.check_room(&transaction)?;
        }
        self.insert(transaction);
        Ok(replaced)
    }

    fn check_nonce(&self, transaction: &Transaction, next: u64) -> Result<(), SubmitError> {
        let ahead = transaction.nonce().saturating_sub(next);
        if ahead >= self.limits.per_sender as u64 {
            return Err(Refusal::NonceTooHigh { found: transaction.nonce(), expected: next }.into());
        }
        Ok(())
    }

    /// The one with the same nonce, if this one offers enough to take its place.
    fn replaceable(&self, transaction: &Transaction) -> Result<Option<Arc<Transaction>>, SubmitError> {
        let of_sender = self.senders.get(&transaction.sender());
        let Some(entry) = of_sender.and_then(|queue| queue.entries.get(&transaction.nonce())) else { return Ok(None) };
        let (old, new) = (entry.transaction.envelope(), transaction.envelope());
        let (fee, tip) = (raised(old.max_fee_per_gas()), raised(tip_of(&entry.transaction)));
        if new.max_fee_per_gas() < fee || tip_of(transaction) < tip {
            return Err(SubmitError::Underpriced { wanted: fee });
        }
        Ok(Some(Arc::clone(&entry.transaction)))
    }

    /// Everything that a sender has waiting together must be payable, or a block could be promised to one that cannot pay.
    fn check_means(
        &self,
        transaction: &Transaction,
        account: &Account,
        replaced: Option<&Transaction>,
    ) -> Result<(), SubmitError> {
        let waiting = self.senders.get(&transaction.sender()).map_or(U256::ZERO, |queue| queue.cost);
        let others = waiting.saturating_sub(replaced.map_or(U256::ZERO, cost));
        let cost = transaction.cost_max().ok_or(Refusal::CostOverflow)?.saturating_add(others);
        if cost > account.balance {
            return Err(Refusal::InsufficientFunds { balance: account.balance, cost }.into());
        }
        Ok(())
    }

    fn check_room(&self, transaction: &Transaction) -> Result<(), SubmitError> {
        let PoolLimits { transactions, bytes, per_sender } = self.limits;
        let of_sender = self.senders.get(&transaction.sender()).map_or(0, |queue| queue.entries.len());
        let full = if of_sender >= per_sender {
            format!("{per_sender} transactions of this sender wait")
        } else if self.places.len() >= transactions {
            format!("{transactions} transactions wait")
        } else if self.bytes.saturating_add(transaction.raw().len()) > bytes {
            format!("{bytes} bytes wait")
        } else {
            return Ok(());
        };
        Err(SubmitError::Full(full))
    }

    fn insert(&mut self, transaction: Arc<Transaction>) {
        let (sender, nonce) = (transaction.sender(), transaction.nonce());
        self.bytes = self.bytes.saturating_add(transaction.raw().len());
        self.places.insert(transaction.hash(), (sender, nonce));
        self.arrivals = self.arrivals.saturating_add(1);
        let queue = self.senders.entry(sender).or_default();
        queue.cost = queue.cost.saturating_add(cost(&transaction));
        queue.entries.insert(nonce, Entry { transaction, arrival: self.arrivals });
    }

    pub fn remove(&mut self, hash: &B256) {
        let Some((sender, nonce)) = self.places.remove(hash) else { return };
        let Some(queue) = self.senders.get_mut(&sender) else { return };
        if let Some(entry) = queue.entries.remove(&nonce) {
            self.bytes = self.bytes.saturating_sub(entry.transaction.raw().len());
            queue.cost = queue.cost.saturating_sub(cost(&entry.transaction));
        }
        if queue.entries.is_empty() {
            self.senders.remove(&sender);
        }
    }

    /// Forgets what a sender's account has passed: everything below its next nonce. Returns what it was.
    pub fn settle(&mut self, sender: &Address, next: u64) -> Vec<B256> {
        let Some(queue) = self.senders.get(sender) else { return Vec::new() };
        let passed: Vec<B256> = queue.entries.range(..next).map(|(_, entry)| entry.transaction.hash()).collect();
        passed.iter().for_each(|hash| self.remove(hash));
        passed
    }

    pub fn get(&self, hash: &B256) -> Option<Arc<Transaction>> {
        let (sender, nonce) = self.places.get(hash)?;
        self.senders.get(sender)?.entries.get(nonce).map(|entry| Arc::clone(&entry.transaction))
    }

    /// By sender and nonce.
    pub fn all(&self) -> Vec<Arc<Transaction>> {
        let entries = self.senders.values().flat_map(|queue| queue.entries.values());
        entries.map(|entry| Arc::clone(&entry.transaction)).collect()
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The nonce after those that follow `next` without a gap; `None` if none of the sender's wait so.
    pub fn nonce_after(&self, sender: &Address, next: u64) -> Option<u64> {
        let entries = &self.senders.get(sender)?.entries;
        let follow = entries.range(next..).zip(next..).take_while(|((nonce, _), wanted)| **nonce == *wanted).count();
        (follow > 0).then(|| next.saturating_add(follow as u64))
    }

    /// What a block on this state could hold, best paid first, each sender's in order. What is `promised` to blocks that are
    /// not executed yet counts as done and is not given again.
    pub fn ready(
        &self,
        nonce_of: impl Fn(&Address) -> u64,
        room: Room,
        promised: &HashSet<B256>,
    ) -> Vec<Arc<Transaction>> {
        let mut heads = BinaryHeap::new();
        for sender in self.senders.keys() {
            heads.extend(self.head(sender, nonce_of(sender), room.base_fee));
        }
        let (mut ready, mut left) = (Vec::new(), room);
        while let Some(head) = heads.pop() {
            let Some(entry) = self.senders.get(&head.sender).and_then(|queue| queue.entries.get(&head.nonce)) else {
                continue;
            };
            if !promised.contains(&entry.transaction.hash()) {
                let Some(rest) = left.less(&entry.transaction) else { break };
                left = rest;
                ready.push(Arc::clone(&entry.transaction));
            }
            heads.extend(self.head(&head.sender, head.nonce.saturating_add(1), room.base_fee));
        }
        ready
    }

    fn head(&self, sender: &Address, nonce: u64, base_fee: u64) -> Option<Head> {
        let entry = self.senders.get(sender)?.entries.get(&nonce)?;
        let tip = entry.transaction.envelope().effective_tip_per_gas(base_fee)?;
        Some(Head { tip, arrival: std::cmp::Reverse(entry.arrival), sender: *sender, nonce })
    }
}

/// A sender's next one. The greatest is first: the best tip, then the earliest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    tip: u128,
    arrival: std::cmp::Reverse<u64>,
    sender: Address,
    nonce: u64,
}

fn cost(transaction: &Transaction) -> U256 {
    transaction.cost_max().unwrap_or(U256::MAX)
}

fn tip_of(transaction: &Transaction) -> u128 {
    let envelope = transaction.envelope();
    envelope.max_priority_fee_per_gas().unwrap_or_else(|| envelope.max_fee_per_gas())
}

fn raised(offer: u128) -> u128 {
    offer.saturating_mul(REPLACEMENT).div_ceil(100)
}
