//! What waits for a block: at most one transaction for each nonce of a sender, none without the means to pay. Pure.
//!
//! A full pool is nobody's: what a block could hold now takes the place of what waits behind a gap, and then of what offers less.
//! So places that cost nothing (a transaction behind a gap never pays) keep nobody out.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256};
use evm::{Account, Code, Refusal, Transaction};
use rpc::SubmitError;

/// A replacement must offer so many hundredths of what it replaces.
const REPLACEMENT: u128 = 110;
/// Most that one transaction may push out of a full pool.
const PUSHED_OUT_MAX: usize = 64;
/// Most of one sender that come behind one that may find no gas.
const UNSURE_MAX: usize = 16;
/// No transaction uses less gas.
const GAS_LEAST: u64 = 21_000;

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

    /// What is left beside `transaction`; `None` if it has no place.
    ///
    /// Of gas only what it uses at least is taken: it pays for what it uses, so what it merely reserves must keep nobody out. Execution
    /// leaves out what finds too little left, and the pool keeps that for the next block.
    fn less(self, transaction: &Transaction) -> Option<Self> {
        (transaction.gas_limit() <= self.gas).then_some(())?;
        Some(Self {
            gas: self.gas.saturating_sub(GAS_LEAST),
            transactions: self.transactions.checked_sub(1)?,
            // A block puts the length before each.
            bytes: self.bytes.checked_sub(transaction.raw().len() + 5)?,
            ..self
        })
    }
}

/// By hash what waits for blocks that are not executed yet, and whether it surely finds its gas there.
pub type Promised = HashMap<B256, bool>;

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
    /// The nonce that the account has, as far as is known.
    next: u64,
    /// What stands in `tails` for it.
    tail: Option<Tail>,
}

impl Queue {
    /// Its last one, which can go without leaving a gap.
    fn last(&self, sender: Address) -> Option<Tail> {
        let (nonce, entry) = self.entries.last_key_value()?;
        let follows = nonce.saturating_sub(self.next) < self.entries.len() as u64;
        Some(Tail { follows, tip: tip_of(&entry.transaction), sender })
    }
}

/// A sender's last one. The least goes first from a full pool: what waits behind a gap, then what offers the least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tail {
    follows: bool,
    tip: u128,
    sender: Address,
}

/// The waiting transactions.
pub struct Pool {
    limits: PoolLimits,
    senders: BTreeMap<Address, Queue>,
    places: HashMap<B256, (Address, u64)>,
    tails: BTreeSet<Tail>,
    bytes: usize,
    arrivals: u64,
}

impl Pool {
    pub fn new(limits: PoolLimits) -> Self {
        let (senders, places, tails) = (BTreeMap::new(), HashMap::new(), BTreeSet::new());
        Self { limits, senders, places, tails, bytes: 0, arrivals: 0 }
    }

    /// Takes one, and returns what had to go for it: the one that it replaced, or what it pushed out of a full pool.
    pub fn add(
        &mut self,
        transaction: Arc<Transaction>,
        account: Option<&Account>,
        code: Option<&Code>,
        base_fee: u64,
    ) -> Result<Vec<Arc<Transaction>>, SubmitError> {
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
        let gone = match replaced {
            Some(replaced) => vec![replaced],
            None => self.room_for(&transaction, account.nonce)?,
        };
        gone.iter().for_each(|gone| self.remove(&gone.hash()));
        self.insert(transaction, account.nonce);
        Ok(gone)
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

    /// What has to go so that a transaction finds room; nothing in a pool that is not full.
    fn room_for(&self, transaction: &Transaction, next: u64) -> Result<Vec<Arc<Transaction>>, SubmitError> {
        let PoolLimits { transactions, bytes, per_sender } = self.limits;
        let sender = transaction.sender();
        if self.senders.get(&sender).is_some_and(|queue| queue.entries.len() >= per_sender) {
            return Err(SubmitError::Full(format!("{per_sender} transactions of this sender wait")));
        }
        let (mut count, mut used) = (self.places.len(), self.bytes.saturating_add(transaction.raw().len()));
        let fits = |count: usize, used: usize| count < transactions && used <= bytes;
        let follows = self.nonce_after(&sender, next).unwrap_or(next) == transaction.nonce();
        let mut gone = Vec::new();
        // A sender's own ones go only where they wait behind a gap.
        for tail in self.tails.iter().filter(|tail| tail.sender != sender || !tail.follows).take(PUSHED_OUT_MAX) {
            if fits(count, used) || !follows || (tail.follows && tip_of(transaction) < raised(tail.tip)) {
                break;
            }
            if let Some((_, entry)) = self.senders.get(&tail.sender).and_then(|queue| queue.entries.last_key_value()) {
                count = count.saturating_sub(1);
                used = used.saturating_sub(entry.transaction.raw().len());
                gone.push(Arc::clone(&entry.transaction));
            }
        }
        if fits(count, used) {
            return Ok(gone);
        }
        let full = if count >= transactions {
            format!("{transactions} transactions wait")
        } else {
            format!("{bytes} bytes wait")
        };
        let hint = if follows { "offer a higher tip" } else { "send what comes before it first" };
        Err(SubmitError::Full(format!("{full}; hint: {hint}")))
    }

    fn insert(&mut self, transaction: Arc<Transaction>, next: u64) {
        let (sender, nonce) = (transaction.sender(), transaction.nonce());
        self.bytes = self.bytes.saturating_add(transaction.raw().len());
        self.places.insert(transaction.hash(), (sender, nonce));
        self.arrivals = self.arrivals.saturating_add(1);
        let queue = self.senders.entry(sender).or_default();
        queue.cost = queue.cost.saturating_add(cost(&transaction));
        queue.next = next;
        queue.entries.insert(nonce, Entry { transaction, arrival: self.arrivals });
        self.note_tail(&sender);
    }

    /// Has one again that was here until now, with the nonce that its sender's account has.
    pub(crate) fn put_back(&mut self, transaction: Arc<Transaction>, next: u64) {
        self.insert(transaction, next);
    }

    /// After every change of a sender's queue.
    fn note_tail(&mut self, sender: &Address) {
        let Some(queue) = self.senders.get_mut(sender) else { return };
        let (old, new) = (queue.tail, queue.last(*sender));
        queue.tail = new;
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.tails.remove(&old);
        }
        self.tails.extend(new);
    }

    pub fn remove(&mut self, hash: &B256) {
        let Some((sender, nonce)) = self.places.remove(hash) else { return };
        let Some(queue) = self.senders.get_mut(&sender) else { return };
        if let Some(entry) = queue.entries.remove(&nonce) {
            self.bytes = self.bytes.saturating_sub(entry.transaction.raw().len());
            queue.cost = queue.cost.saturating_sub(cost(&entry.transaction));
        }
        let is_empty = queue.entries.is_empty();
        self.note_tail(&sender);
        if is_empty {
            self.senders.remove(&sender);
        }
    }

    /// Forgets what a sender's account has passed: everything below its next nonce. Returns what it was.
    pub fn settle(&mut self, sender: &Address, next: u64) -> Vec<B256> {
        let Some(queue) = self.senders.get_mut(sender) else { return Vec::new() };
        queue.next = next;
        let passed: Vec<B256> = queue.entries.range(..next).map(|(_, entry)| entry.transaction.hash()).collect();
        passed.iter().for_each(|hash| self.remove(hash));
        self.note_tail(sender);
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

    /// What blocks hold that are not executed yet, each block's in order, and whether it surely finds its gas there.
    pub fn promised<B: IntoIterator<Item = B256>>(&self, blocks: impl IntoIterator<Item = B>, gas: u64) -> Promised {
        let mut promised = Promised::new();
        for block in blocks {
            let mut reserved = 0_u64;
            for hash in block {
                // Who knows it nowhere near has nothing of its sender's that follows.
                let limit = self.get(&hash).map_or(GAS_LEAST, |transaction| transaction.gas_limit());
                reserved = reserved.saturating_add(limit);
                promised.insert(hash, reserved <= gas);
            }
        }
        promised
    }

    /// What a block on this state could hold, best paid first, each sender's in order. What is `promised` to blocks that are
    /// not executed yet counts as done and is not given again.
    ///
    /// What finds no gas at execution stays, and its sender's later ones with it, none of which then pays for its place. So where it is not
    /// sure of its gas (by what all before it reserve, not by what they use) they come behind everybody else's, and few of them.
    pub fn ready(&self, nonce_of: impl Fn(&Address) -> u64, room: Room, promised: &Promised) -> Vec<Arc<Transaction>> {
        let mut heads = BinaryHeap::new();
        for sender in self.senders.keys() {
            heads.extend(self.head(sender, nonce_of(sender), room.base_fee));
        }
        let (mut behind, mut unsure) = (BinaryHeap::new(), HashMap::<Address, usize>::new());
        let (mut ready, mut left, mut reserved) = (Vec::new(), room, 0_u64);
        let next = |heads: &mut BinaryHeap<Head>, behind: &mut BinaryHeap<Head>| {
            heads.pop().map(|head| (head, true)).or_else(|| behind.pop().map(|head| (head, false)))
        };
        while let Some((head, is_followed)) = next(&mut heads, &mut behind) {
            let Some(entry) = self.senders.get(&head.sender).and_then(|queue| queue.entries.get(&head.nonce)) else {
                continue;
            };
            let is_sure = if let Some(is_sure) = promised.get(&entry.transaction.hash()) {
                *is_sure
            } else {
                // A smaller one of another sender may still have a place.
                let Some(rest) = left.less(&entry.transaction) else { continue };
                left = rest;
                reserved = reserved.saturating_add(entry.transaction.gas_limit());
                ready.push(Arc::clone(&entry.transaction));
                reserved <= room.gas
            };
            if left.transactions == 0 || left.gas < GAS_LEAST {
                break;
            }
            let after = self.head(&head.sender, head.nonce.saturating_add(1), room.base_fee);
            if is_sure && is_followed {
                heads.extend(after);
                continue;
            }
            let count = unsure.entry(head.sender).or_default();
            if *count < UNSURE_MAX {
                *count = count.saturating_add(1);
                behind.extend(after);
            }
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
