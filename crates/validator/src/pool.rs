//! Transactions that wait for a block: numbered per sender, bounded per sender and in all. Pure.
//!
//! Places cost nothing, so they must keep nobody out who has to act: what a block could hold takes the place of what waits behind a
//! gap, and a part of the pool is for the keys of nodes, which stake stands behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use consensus::MAX_TRANSACTIONS;
use ledger::Native;
use protocol::{Action, Digest, PublicKey, SignedTransaction};
use thiserror::Error;

/// Most transactions of one sender.
pub const SENDER_MAX: usize = 64;
/// Most bytes of one sender: four of the largest transactions, so that no one fills the pool alone.
pub const SENDER_BYTES_MAX: usize = 4 << 20;
/// Most transactions in all.
pub const POOL_MAX: usize = 8_192;
/// Most bytes in all.
pub const POOL_BYTES_MAX: usize = 64 << 20;
/// The part of both that others than nodes may take.
const OTHERS: (usize, usize) = (3, 4);
/// So many batches of receipts of one sender are shown to the others as they come.
const SHOWN_AT_ONCE: usize = 4;

/// Why a transaction was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PoolRefusal {
    #[error("already known")]
    AlreadyKnown,
    #[error("another transaction with nonce {nonce} is pending; hint: wait for it, or use the next nonce")]
    NonceTaken { nonce: u64 },
    #[error("the sender has too many pending transactions or bytes; hint: wait until some are executed")]
    SenderFull,
    #[error("the pool is full; hint: try again in a second")]
    Full,
}

#[derive(Clone, Debug)]
struct Pending {
    id: Digest,
    bytes: Vec<u8>,
    /// As it was read when it came in, until a block brings it.
    native: Option<Arc<Native>>,
    /// Whether it is receipts: whoever posts them has them on a disk, and sends them until they are anchored.
    is_receipts: bool,
}

/// What one sender has waiting.
#[derive(Clone, Debug, Default)]
struct Queue {
    pending: BTreeMap<u64, Pending>,
    bytes: usize,
    /// The nonce that it uses next, as far as is known.
    next: u64,
}

impl Queue {
    fn has_room(&self, bytes: usize) -> bool {
        self.pending.len() < SENDER_MAX && self.bytes + bytes <= SENDER_BYTES_MAX
    }

    /// What waits without a gap from `first` on.
    fn run(&self, first: u64) -> impl Iterator<Item = &Pending> {
        let run = self.pending.range(first..).zip(first..).take_while(|((nonce, _), wanted)| *nonce == wanted);
        run.map(|((_, pending), _)| pending)
    }

    /// Its last one, if that waits behind a gap.
    fn behind_a_gap(&self) -> Option<u64> {
        let (nonce, _) = self.pending.last_key_value()?;
        (nonce.saturating_sub(self.next) >= self.pending.len() as u64).then_some(*nonce)
    }
}

/// Who sends, as the ledger knows it.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The nonce that it uses next.
    pub next: u64,
    /// Whether its key is a node's.
    pub is_node: bool,
}

/// The pool.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    senders: BTreeMap<PublicKey, Queue>,
    /// Of all that waits.
    ids: BTreeSet<Digest>,
    count: usize,
    bytes: usize,
    /// What waits no more, until somebody asks.
    gone: BTreeSet<Digest>,
    /// Receipts that the others were not shown, by sender and nonce, in the order in which they came.
    held_back: VecDeque<(PublicKey, u64)>,
}

impl Pool {
    /// Takes a transaction that the ledger admits, read from these bytes.
    pub fn add(&mut self, native: Native, bytes: Vec<u8>, sender: Sender) -> Result<Digest, PoolRefusal> {
        let (id, key, nonce) = (native.id(), native.transaction().sender, native.transaction().nonce);
        if let Some(known) = self.senders.get(&key).and_then(|queue| queue.pending.get(&nonce)) {
            return Err(if known.id == id { PoolRefusal::AlreadyKnown } else { PoolRefusal::NonceTaken { nonce } });
        }
        let follows = self.free_nonce(&key, sender.next) == nonce;
        while self.senders.get(&key).is_some_and(|queue| !queue.has_room(bytes.len())) {
            if !follows || !self.push_out(|other| *other == key) {
                return Err(PoolRefusal::SenderFull);
            }
        }
        while !self.has_room(bytes.len(), sender.is_node) {
            if !follows || !self.push_out(|other| *other != key) {
                return Err(PoolRefusal::Full);
            }
        }
        let is_receipts = matches!(native.transaction().action, Action::PostReceipts(_));
        self.gone.remove(&id);
        self.ids.insert(id);
        let queue = self.senders.entry(key).or_default();
        self.count += 1;
        self.bytes += bytes.len();
        queue.bytes += bytes.len();
        queue.next = sender.next;
        queue.pending.insert(nonce, Pending { id, bytes, native: Some(Arc::new(native)), is_receipts });
        Ok(id)
    }

    /// Whether the one with this id waits.
    pub fn waits(&self, id: &Digest) -> bool {
        self.ids.contains(id)
    }

    /// The one that these are the bytes of.
    fn pending(&self, bytes: &[u8]) -> Option<&Pending> {
        let (sender, nonce) = SignedTransaction::place(bytes)?;
        self.senders.get(&sender)?.pending.get(&nonce).filter(|pending| pending.bytes == bytes)
    }

    /// The id of the one that these are the bytes of.
    pub fn find(&self, bytes: &[u8]) -> Option<Digest> {
        Some(self.pending(bytes)?.id)
    }

    /// The same, where its sender may have it nowhere else.
    pub fn find_entrusted(&self, bytes: &[u8]) -> Option<Digest> {
        self.pending(bytes).filter(|pending| !pending.is_receipts).map(|pending| pending.id)
    }

    /// The same one as it was read, for the block that brings it: given once.
    pub fn take_read(&mut self, bytes: &[u8]) -> Option<Arc<Native>> {
        let (sender, nonce) = SignedTransaction::place(bytes)?;
        let pending = self.senders.get_mut(&sender)?.pending.get_mut(&nonce)?;
        if pending.bytes == bytes { pending.native.take() } else { None }
    }

    /// Whether the others need not be shown the one that these are the bytes of: receipts of a gateway of which many wait, which this node's
    /// own turn takes as soon as another's could, and which then go through the network once and not twice. It is noted if so.
    pub fn hold_back(&mut self, bytes: &[u8]) -> bool {
        let Some((sender, nonce)) = SignedTransaction::place(bytes) else { return false };
        let Some(queue) = self.senders.get(&sender) else { return false };
        // Behind a gap no turn takes it.
        let place = queue.run(queue.next).position(|pending| pending.is_receipts && pending.bytes == bytes);
        let is_held = place.is_some_and(|place| place >= SHOWN_AT_ONCE);
        if is_held {
            self.held_back.push_back((sender, nonce));
        }
        is_held
    }

    /// The longest held back of what still waits, to be shown after all: so many bytes.
    pub fn take_held_back(&mut self, budget: usize) -> Vec<Vec<u8>> {
        let (mut taken, mut used) = (Vec::new(), 0_usize);
        while let Some((sender, nonce)) = self.held_back.front() {
            if let Some(pending) = self.senders.get(sender).and_then(|queue| queue.pending.get(nonce)) {
                used += pending.bytes.len();
                if used > budget {
                    break;
                }
                taken.push(pending.bytes.clone());
            }
            self.held_back.pop_front();
        }
        taken
    }

    fn has_room(&self, bytes: usize, is_node: bool) -> bool {
        let (part, whole) = if is_node { (1, 1) } else { OTHERS };
        self.count < POOL_MAX / whole * part && self.bytes + bytes <= POOL_BYTES_MAX / whole * part
    }

    /// Lets one go that waits behind a gap, of one of these senders; false if there is none.
    fn push_out(&mut self, of: impl Fn(&PublicKey) -> bool) -> bool {
        let behind = |(sender, queue): (&PublicKey, &Queue)| Some((*sender, queue.behind_a_gap()?));
        let Some((key, nonce)) = self.senders.iter().filter(|(sender, _)| of(sender)).find_map(behind) else {
            return false;
        };
        let Some(queue) = self.senders.get_mut(&key) else { return false };
        if let Some(gone) = queue.pending.remove(&nonce) {
            queue.bytes -= gone.bytes.len();
            self.count -= 1;
            self.bytes -= gone.bytes.len();
            self.ids.remove(&gone.id);
            self.gone.insert(gone.id);
        }
        if queue.pending.is_empty() {
            self.senders.remove(&key);
        }
        true
    }

    /// The first nonce from `next` on that no pending transaction of `sender` has.
    pub fn free_nonce(&self, sender: &PublicKey, next: u64) -> u64 {
        let Some(queue) = self.senders.get(sender) else { return next };
        next + queue.run(next).count() as u64
    }

    /// Transactions for one block of at most `budget` bytes (five more counted for each): every sender's in order of
    /// nonce and without gaps from the one that it uses next, senders taking turns, none that is in `proposed` already. `turn`
    /// says who begins, so that no key is first in every block.
    pub fn take(&self, turn: u64, budget: usize, count: usize, proposed: &BTreeSet<Digest>) -> Vec<Vec<u8>> {
        let mut queues: Vec<_> = self
            .senders
            .values()
            .map(|queue| queue.run(queue.next).filter(|pending| !proposed.contains(&pending.id)))
            .collect();
        let begin = turn.checked_rem(queues.len() as u64).and_then(|begin| usize::try_from(begin).ok()).unwrap_or(0);
        queues.rotate_left(begin);
        let (mut taken, mut used) = (Vec::new(), 0_usize);
        while !queues.is_empty() {
            queues.retain_mut(|queue| {
                let Some(pending) = queue.next() else { return false };
                let size = pending.bytes.len() + 5;
                let fits = used + size <= budget && taken.len() < count;
                if fits {
                    used += size;
                    taken.push(pending.bytes.clone());
                }
                // What comes after one that does not fit would leave a gap.
                fits
            });
        }
        taken
    }

    /// Forgets what has been executed: everything below the nonce that `next` says.
    pub fn forget(&mut self, next: impl Fn(&PublicKey) -> u64) {
        let (mut count, mut bytes, ids, gone) = (0, 0, &mut self.ids, &mut self.gone);
        self.senders.retain(|sender, queue| {
            queue.next = next(sender);
            let rest = queue.pending.split_off(&queue.next);
            for pending in std::mem::replace(&mut queue.pending, rest).values() {
                ids.remove(&pending.id);
                gone.insert(pending.id);
            }
            queue.bytes = queue.pending.values().map(|pending| pending.bytes.len()).sum();
            count += queue.pending.len();
            bytes += queue.bytes;
            !queue.pending.is_empty()
        });
        (self.count, self.bytes) = (count, bytes);
        let senders = &self.senders;
        let waits = |(sender, nonce): &(PublicKey, u64)| {
            senders.get(sender).is_some_and(|queue| queue.pending.contains_key(nonce))
        };
        self.held_back.retain(waits);
    }

    /// What waits no more since the last time: executed, or gone for another.
    pub fn take_gone(&mut self) -> BTreeSet<Digest> {
        std::mem::take(&mut self.gone)
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A block of what one gives, and then of what the other gives for the rest.
pub(crate) fn filled(
    budget: usize,
    first: impl FnOnce(usize, usize) -> Vec<Vec<u8>>,
    second: impl FnOnce(usize, usize) -> Vec<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let mut taken = first(MAX_TRANSACTIONS, budget);
    let used: usize = taken.iter().map(|bytes| bytes.len() + 5).sum();
    let count = MAX_TRANSACTIONS.saturating_sub(taken.len());
    taken.extend(second(count, budget.saturating_sub(used)));
    taken
}

#[cfg(test)]
mod tests {
    use crypto::SigningKey;
    use protocol::{
        Canonical as _, List, Transaction, Version,
        transaction::{PostReceipts, Transfer},
    };

    use super::*;

    const OTHER: Sender = Sender { next: 0, is_node: false };
    const NODE: Sender = Sender { next: 0, is_node: true };

    fn add_by(pool: &mut Pool, signed: &SignedTransaction, sender: Sender) -> Result<Digest, PoolRefusal> {
        let bytes = signed.encode();
        pool.add(Native::read(&bytes).unwrap(), bytes, sender)
    }

    fn add(pool: &mut Pool, signed: &SignedTransaction) -> Result<Digest, PoolRefusal> {
        add_by(pool, signed, OTHER)
    }

    fn transfer(sender: u8, nonce: u64, amount: u128) -> SignedTransaction {
        let key = SigningKey::from_seed(&[sender; 32]);
        let action = Action::Transfer(Transfer { to: protocol::EvmAddress([9; 20]), amount });
        Transaction { version: Version, chain_id: 1, sender: key.public_key(), nonce, action }.sign(&key)
    }

    fn taken(pool: &Pool, budget: usize) -> Vec<(PublicKey, u64)> {
        let taken = pool.take(0, budget, 100, &BTreeSet::new());
        let read = |bytes: &Vec<u8>| SignedTransaction::decode(bytes).unwrap().transaction;
        taken.iter().map(read).map(|transaction| (transaction.sender, transaction.nonce)).collect()
    }

    #[test]
    fn senders_take_turns_and_gaps_wait() {
        let mut pool = Pool::default();
        for (sender, nonce) in [(1, 0), (1, 1), (1, 3), (2, 0), (3, 1)] {
            add(&mut pool, &transfer(sender, nonce, 1)).unwrap();
        }
        let order: Vec<u64> = taken(&pool, usize::MAX / 2).iter().map(|(_, nonce)| *nonce).collect();
        assert_eq!(order, [0, 0, 1]);
        let first = SigningKey::from_seed(&[1; 32]).public_key();
        assert_eq!(pool.free_nonce(&first, 0), 2);
        assert_eq!(pool.free_nonce(&PublicKey([7; 32]), 5), 5);
        pool.forget(|_| 2);
        assert_eq!(pool.len(), 1);
        assert_eq!(pool.free_nonce(&first, 2), 2);
    }

    #[test]
    fn a_block_is_never_filled_beyond_its_budget_nor_with_what_is_proposed_already() {
        let mut pool = Pool::default();
        let size = transfer(1, 0, 1).encode().len() + 5;
        (0..5).for_each(|nonce| {
            add(&mut pool, &transfer(1, nonce, 1)).unwrap();
        });
        assert_eq!(taken(&pool, 2 * size).len(), 2);
        assert_eq!(taken(&pool, 2 * size - 1).len(), 1);
        let proposed = BTreeSet::from([transfer(1, 0, 1).transaction.id()]);
        assert_eq!(pool.take(0, usize::MAX / 2, 100, &proposed).len(), 4);
        assert_eq!(pool.take(0, usize::MAX / 2, 3, &BTreeSet::new()).len(), 3);
        // What is executed is not proposed again, whoever proposed it.
        pool.forget(|_| 3);
        assert_eq!(taken(&pool, usize::MAX / 2).iter().map(|(_, nonce)| *nonce).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn each_turn_begins_with_another_sender() {
        let mut pool = Pool::default();
        (1..=3).for_each(|sender| {
            add(&mut pool, &transfer(sender, 0, 1)).unwrap();
        });
        let first = |turn| pool.take(turn, usize::MAX / 2, 1, &BTreeSet::new());
        assert_ne!(first(0), first(1));
        assert_ne!(first(1), first(2));
        assert_eq!(first(0), first(3));
    }

    #[test]
    fn what_is_known_taken_or_too_much_is_refused() {
        let mut pool = Pool::default();
        add(&mut pool, &transfer(1, 0, 1)).unwrap();
        assert_eq!(add(&mut pool, &transfer(1, 0, 1)), Err(PoolRefusal::AlreadyKnown));
        assert_eq!(add(&mut pool, &transfer(1, 0, 2)), Err(PoolRefusal::NonceTaken { nonce: 0 }));
        for nonce in 1..SENDER_MAX as u64 {
            add(&mut pool, &transfer(1, nonce, 1)).unwrap();
        }
        assert_eq!(add(&mut pool, &transfer(1, 99, 1)), Err(PoolRefusal::SenderFull));
        pool.count = POOL_MAX / 4 * 3;
        assert_eq!(add(&mut pool, &transfer(2, 0, 1)), Err(PoolRefusal::Full));
        add_by(&mut pool, &transfer(2, 0, 1), NODE).unwrap();
        pool.count = POOL_MAX;
        assert_eq!(add_by(&mut pool, &transfer(3, 0, 1), NODE), Err(PoolRefusal::Full));
    }

    #[test]
    fn what_a_block_brings_is_found_by_all_of_its_bytes_and_its_reading_given_once() {
        let mut pool = Pool::default();
        let signed = transfer(1, 0, 1);
        let (id, bytes) = (add(&mut pool, &signed).unwrap(), signed.encode());
        let others = [transfer(1, 0, 2).encode(), transfer(1, 1, 1).encode(), transfer(2, 0, 1).encode(), Vec::new()];
        for other in others.iter().chain([&bytes[..bytes.len() - 1].to_vec()]) {
            assert_eq!(pool.find(other), None);
            assert!(pool.take_read(other).is_none());
        }
        assert_eq!(pool.find(&bytes), Some(id));
        assert_eq!(pool.take_read(&bytes).unwrap().id(), id);
        assert!(pool.take_read(&bytes).is_none());
        assert_eq!(taken(&pool, usize::MAX / 2).len(), 1, "it waits until it is executed");
    }

    #[test]
    fn what_waits_no_more_is_told_once_and_not_where_it_waits_again() {
        let mut pool = Pool::default();
        let signed: Vec<_> = (0..3).map(|nonce| transfer(1, nonce, 1)).collect();
        let ids: Vec<Digest> = signed.iter().map(|signed| add(&mut pool, signed).unwrap()).collect();
        pool.forget(|_| 1);
        assert_eq!(ids.iter().map(|id| pool.waits(id)).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(pool.take_gone(), BTreeSet::from([ids[0]]));
        assert!(pool.take_gone().is_empty());
        pool.forget(|_| 3);
        add(&mut pool, &signed[2]).unwrap();
        assert_eq!(pool.take_gone(), BTreeSet::from([ids[1]]));
    }

    #[test]
    fn receipts_are_not_entrusted_to_the_pool() {
        let key = SigningKey::from_seed(&[1; 32]);
        let action = Action::PostReceipts(PostReceipts { receipts: List::default() });
        let posted =
            Transaction { version: Version, chain_id: 1, sender: key.public_key(), nonce: 0, action }.sign(&key);
        let (mut pool, paid) = (Pool::default(), transfer(2, 0, 1));
        let ids = [&posted, &paid].map(|signed| add(&mut pool, signed).unwrap());
        assert_eq!([&posted, &paid].map(|signed| pool.find(&signed.encode())), ids.map(Some));
        assert_eq!(pool.find_entrusted(&posted.encode()), None);
        assert_eq!(pool.find_entrusted(&paid.encode()), Some(ids[1]));
        assert_eq!(pool.find_entrusted(&transfer(2, 1, 1).encode()), None);
    }

    #[test]
    fn receipts_behind_others_of_their_gateway_are_held_back_until_they_are_asked_for_or_executed() {
        let key = SigningKey::from_seed(&[1; 32]);
        let posted = |nonce: u64| {
            let action = Action::PostReceipts(PostReceipts { receipts: List::default() });
            Transaction { version: Version, chain_id: 1, sender: key.public_key(), nonce, action }.sign(&key)
        };
        let (mut pool, count) = (Pool::default(), SHOWN_AT_ONCE as u64 + 4);
        let hold_back = |pool: &mut Pool, signed: &SignedTransaction| {
            add(pool, signed).unwrap();
            pool.hold_back(&signed.encode())
        };
        let held: Vec<bool> = (0..count).map(|nonce| hold_back(&mut pool, &posted(nonce))).collect();
        assert_eq!(held, (0..count).map(|nonce| nonce >= SHOWN_AT_ONCE as u64).collect::<Vec<_>>());
        let behind_a_gap = hold_back(&mut pool, &posted(count + 1));
        let transfers = (0..count).any(|nonce| hold_back(&mut pool, &transfer(2, nonce, 1)));
        assert!(!behind_a_gap && !transfers && !pool.hold_back(b"nothing") && !pool.hold_back(&posted(99).encode()));

        let bytes = |nonce: u64| posted(nonce).encode();
        let (first, size) = (SHOWN_AT_ONCE as u64, bytes(0).len());
        assert_eq!(pool.take_held_back(size - 1), [] as [Vec<u8>; 0]);
        assert_eq!(pool.take_held_back(2 * size - 1), [bytes(first)], "the longest held first");
        pool.forget(|sender| if *sender == key.public_key() { first + 2 } else { 0 });
        assert_eq!(pool.held_back.len(), 2);
        assert_eq!(pool.take_held_back(usize::MAX), [bytes(first + 2), bytes(first + 3)]);
        assert!(pool.take_held_back(usize::MAX).is_empty(), "each is shown once");
    }

    #[test]
    fn what_waits_behind_a_gap_keeps_nobody_out() {
        let mut pool = Pool::default();
        // Nobody ever sends the first of these.
        let idle = |sender: u8| (1..=SENDER_MAX as u64).map(move |nonce| transfer(sender, nonce, 1));
        for signed in (1..=(POOL_MAX / 4 * 3 / SENDER_MAX) as u8).flat_map(idle) {
            add(&mut pool, &signed).unwrap();
        }
        assert_eq!(add(&mut pool, &transfer(200, 1, 1)), Err(PoolRefusal::Full), "neither could this be in a block");
        let len = pool.len();
        add(&mut pool, &transfer(200, 0, 1)).unwrap();
        add(&mut pool, &transfer(200, 1, 1)).unwrap();
        assert_eq!((pool.len(), pool.ids.len(), pool.take_gone().len()), (len, len, 2));
        assert_eq!(taken(&pool, usize::MAX / 2).len(), 2);
        let bytes: usize =
            pool.senders.values().flat_map(|queue| queue.pending.values()).map(|one| one.bytes.len()).sum();
        assert_eq!(pool.bytes, bytes);
        // Nor the sender itself: its last one goes for its first, and then none is behind a gap any more.
        add(&mut pool, &transfer(1, 0, 1)).unwrap();
        assert_eq!(add(&mut pool, &transfer(1, SENDER_MAX as u64, 1)), Err(PoolRefusal::SenderFull));
    }
}
