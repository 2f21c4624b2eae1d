//! Transactions that wait for a block: numbered per sender, bounded per sender and in all. Pure.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Canonical as _, Digest, PublicKey, SignedTransaction};
use thiserror::Error;

/// Most transactions of one sender.
pub const SENDER_MAX: usize = 64;
/// Most bytes of one sender: four of the largest transactions, so that no one fills the pool alone.
pub const SENDER_BYTES_MAX: usize = 4 << 20;
/// Most transactions in all.
pub const POOL_MAX: usize = 8_192;
/// Most bytes in all.
pub const POOL_BYTES_MAX: usize = 64 << 20;

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
}

/// The pool.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    senders: BTreeMap<PublicKey, BTreeMap<u64, Pending>>,
    count: usize,
    bytes: usize,
}

impl Pool {
    /// Takes a transaction that the ledger admits.
    pub fn add(&mut self, signed: &SignedTransaction) -> Result<Digest, PoolRefusal> {
        let bytes = signed.encode();
        let (id, nonce) = (signed.transaction.id(), signed.transaction.nonce);
        if let Some(known) = self.senders.get(&signed.transaction.sender).and_then(|queue| queue.get(&nonce)) {
            return Err(if known.id == id { PoolRefusal::AlreadyKnown } else { PoolRefusal::NonceTaken { nonce } });
        }
        if self.count >= POOL_MAX || self.bytes + bytes.len() > POOL_BYTES_MAX {
            return Err(PoolRefusal::Full);
        }
        let queue = self.senders.entry(signed.transaction.sender).or_default();
        let used: usize = queue.values().map(|pending| pending.bytes.len()).sum();
        if queue.len() >= SENDER_MAX || used + bytes.len() > SENDER_BYTES_MAX {
            return Err(PoolRefusal::SenderFull);
        }
        self.count += 1;
        self.bytes += bytes.len();
        queue.insert(nonce, Pending { id, bytes });
        Ok(id)
    }

    /// The first nonce from `next` on that no pending transaction of `sender` has.
    pub fn free_nonce(&self, sender: &PublicKey, next: u64) -> u64 {
        let Some(queue) = self.senders.get(sender) else { return next };
        queue.range(next..).zip(next..).take_while(|((nonce, _), wanted)| *nonce == wanted).count() as u64 + next
    }

    /// Transactions for one block of at most `budget` bytes (five more counted for each): every sender's in order of
    /// nonce and without gaps from what `next` says, senders taking turns, none that is in `proposed` already. `turn`
    /// says who begins, so that no key is first in every block.
    pub fn take(
        &self,
        turn: u64,
        budget: usize,
        count: usize,
        proposed: &BTreeSet<Digest>,
        next: impl Fn(&PublicKey) -> u64,
    ) -> Vec<Vec<u8>> {
        let mut queues: Vec<_> = self
            .senders
            .iter()
            .map(|(sender, queue)| {
                let first = next(sender);
                let run = queue.range(first..).zip(first..).take_while(|((nonce, _), wanted)| *nonce == wanted);
                run.map(|((_, pending), _)| pending).filter(|pending| !proposed.contains(&pending.id))
            })
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
        let (mut count, mut bytes) = (0, 0);
        self.senders.retain(|sender, queue| {
            *queue = queue.split_off(&next(sender));
            count += queue.len();
            bytes += queue.values().map(|pending| pending.bytes.len()).sum::<usize>();
            !queue.is_empty()
        });
        (self.count, self.bytes) = (count, bytes);
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use crypto::SigningKey;
    use protocol::{Action, Transaction, Version, transaction::Transfer};

    use super::*;

    fn transfer(sender: u8, nonce: u64, amount: u128) -> SignedTransaction {
        let key = SigningKey::from_seed(&[sender; 32]);
        let action = Action::Transfer(Transfer { to: protocol::EvmAddress([9; 20]), amount });
        Transaction { version: Version, chain_id: 1, sender: key.public_key(), nonce, action }.sign(&key)
    }

    fn taken(pool: &Pool, budget: usize, next: u64) -> Vec<(PublicKey, u64)> {
        let taken = pool.take(0, budget, 100, &BTreeSet::new(), |_| next);
        let read = |bytes: &Vec<u8>| SignedTransaction::decode(bytes).unwrap().transaction;
        taken.iter().map(read).map(|transaction| (transaction.sender, transaction.nonce)).collect()
    }

    #[test]
    fn senders_take_turns_and_gaps_wait() {
        let mut pool = Pool::default();
        for (sender, nonce) in [(1, 0), (1, 1), (1, 3), (2, 0), (3, 1)] {
            pool.add(&transfer(sender, nonce, 1)).unwrap();
        }
        let order: Vec<u64> = taken(&pool, usize::MAX / 2, 0).iter().map(|(_, nonce)| *nonce).collect();
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
            pool.add(&transfer(1, nonce, 1)).unwrap();
        });
        assert_eq!(taken(&pool, 2 * size, 0).len(), 2);
        assert_eq!(taken(&pool, 2 * size - 1, 0).len(), 1);
        let proposed = BTreeSet::from([transfer(1, 0, 1).transaction.id()]);
        assert_eq!(pool.take(0, usize::MAX / 2, 100, &proposed, |_| 0).len(), 4);
        assert_eq!(pool.take(0, usize::MAX / 2, 3, &BTreeSet::new(), |_| 0).len(), 3);
    }

    #[test]
    fn each_turn_begins_with_another_sender() {
        let mut pool = Pool::default();
        (1..=3).for_each(|sender| {
            pool.add(&transfer(sender, 0, 1)).unwrap();
        });
        let first = |turn| pool.take(turn, usize::MAX / 2, 1, &BTreeSet::new(), |_| 0);
        assert_ne!(first(0), first(1));
        assert_ne!(first(1), first(2));
        assert_eq!(first(0), first(3));
    }

    #[test]
    fn what_is_known_taken_or_too_much_is_refused() {
        let mut pool = Pool::default();
        pool.add(&transfer(1, 0, 1)).unwrap();
        assert_eq!(pool.add(&transfer(1, 0, 1)), Err(PoolRefusal::AlreadyKnown));
        assert_eq!(pool.add(&transfer(1, 0, 2)), Err(PoolRefusal::NonceTaken { nonce: 0 }));
        for nonce in 1..SENDER_MAX as u64 {
            pool.add(&transfer(1, nonce, 1)).unwrap();
        }
        assert_eq!(pool.add(&transfer(1, 99, 1)), Err(PoolRefusal::SenderFull));
        pool.count = POOL_MAX;
        assert_eq!(pool.add(&transfer(2, 0, 1)), Err(PoolRefusal::Full));
    }
}
