//! The EVM at this node: newest blocks and the index of all, the pool of wallets' transactions, and reading them once.
//!
//! A transaction's sender is recovered when it comes in, by whatever way, and the pool keeps it: what a block then brings is found
//! there by its hash. What is not is recovered on all cores. Nothing here holds a lock while it recovers or executes.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Mutex},
    thread,
};

use blocks::{Index, Keep, Live, NativeOutcome, Pool, PoolLimits, Recent, Room, Step, Undos, View};
use evm::{Block, Chain, Transaction};
use ledger::{Executed, Head, Ordered, Ran, Refusal};
use protocol::EvmAddress;
use rpc::{Event, Hash, NodeError, SubmitError};
use storage::{Change, Durable};

use crate::{lock::locked, waiting::Waiting};

/// What of the past is in memory; a node without a disk has nothing else. Older states come from what blocks overwrote.
const KEEP: Keep = Keep::states(256);
/// From so many unknown senders on, more than one thread recovers them.
const ALONE: usize = 16;
const THREADS_MAX: usize = 8;
pub(crate) const LIMITS: PoolLimits = PoolLimits { transactions: 32_768, bytes: 64 << 20, per_sender: 1_024 };

/// Letters of a refusal that are kept.
const REFUSAL_MAX: usize = 500;

/// Blocks that one block may push out of the index at most: more than one, so that a smaller bound is reached in time.
const REMOVED_AT_ONCE: u64 = 4;

pub(crate) struct Ethereum {
    view: Arc<View>,
    /// Blocks on their way to the disk, oldest first.
    written: Mutex<VecDeque<Written>>,
    /// What a restart would find waiting.
    waiting: Arc<Waiting>,
    /// How many blocks the index keeps; all of them if absent.
    keep_blocks: Option<u64>,
}

/// A block on its way to the disk, which tells nothing of it yet.
struct Written {
    number: u64,
    durable: Durable,
    natives: Natives,
}

/// Native transactions that a block ended, each with why it was refused if it was.
type Natives = BTreeMap<Hash, Option<String>>;

/// The block with this head, as the index or the genesis has it; `None` where the index does not know it.
pub(crate) fn block_of(head: &Head, index: Option<&Index>) -> Result<Option<Arc<Block>>, NodeError> {
    let (header, number) = (head.header.clone(), head.header.number);
    let Some(index) = index.filter(|_| number > 0) else {
        return Ok(Some(Arc::new(Block { header, transactions: Vec::new(), receipts: Vec::new() })));
    };
    Ok(index.block(number)?.filter(|block| block.header.hash() == header.hash()))
}

impl Ethereum {
    /// At `head`, whose block this is; without an index nothing is kept on disk.
    pub fn new(
        chain: Chain,
        head: &Head,
        block: Arc<Block>,
        index: Option<Index>,
        keep_blocks: Option<u64>,
        waiting: Arc<Waiting>,
    ) -> Result<Self, NodeError> {
        let first = Recent { block, before: head.world.aside(), world: head.world.aside() };
        let live = Live::new([first], Pool::new(LIMITS));
        let oldest = index.as_ref().map_or(Ok(0), Index::oldest)?;
        // A snapshot's state is one of an epoch's end: on its way from its newest block to the next, which was written before it.
        let number = head.header.number;
        let began = if number == 0 { Step::after(0) } else { Step::before(number.saturating_add(1)) };
        let undos = index.as_ref().map(|index| Undos::open(index.store(), began)).transpose()?;
        let mut view = View::new(chain, index, live);
        if let Some(undos) = undos {
            view = view.with_undos(undos);
        }
        view.keep_from(oldest);
        Ok(Self { view: Arc::new(view), written: Mutex::default(), waiting, keep_blocks })
    }

    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub fn waiting(&self) -> usize {
        self.view.live().pool.len()
    }

    /// The nonce that a wallet uses next, those that wait counted.
    pub fn next_nonce(&self, address: &EvmAddress) -> u64 {
        let address = address.0.into();
        let live = self.view.live();
        let next = live.nonce(&address);
        live.pool.nonce_after(&address, next).unwrap_or(next)
    }

    /// Reads wallets' transactions of a block: known ones from the pool, the others on all cores.
    pub fn read(&self, all: &[&[u8]]) -> Vec<Ordered> {
        let mut read: Vec<Option<Ordered>> = {
            let live = self.view.live();
            all.iter().map(|bytes| live.pool.get(&evm::hash_of(bytes)).map(Ordered::Ethereum)).collect()
        };
        let chain = *self.view.chain();
        let mut unknown: Vec<(&&[u8], &mut Option<Ordered>)> =
            all.iter().zip(&mut read).filter(|(_, place)| place.is_none()).collect();
        on_all_cores(&mut unknown, |(bytes, place)| **place = Some(Ordered::read(bytes, &chain)));
        read.into_iter().flatten().collect()
    }

    /// Reads what others' nodes have shown, but for what waits here or was executed lately: nothing of that is recovered again.
    pub fn read_unknown(&self, all: &[&[u8]]) -> Vec<Ordered> {
        let hashed: Vec<(Hash, &[u8])> = all.iter().map(|bytes| (evm::hash_of(bytes), *bytes)).collect();
        let unknown: Vec<&[u8]> = {
            let live = self.view.live();
            hashed.into_iter().filter(|(hash, _)| !live.knows(hash)).map(|(_, bytes)| bytes).collect()
        };
        self.read(&unknown)
    }

    /// Takes a transaction into the pool. What had to go for it is forgotten.
    pub fn admit(&self, transaction: &Arc<Transaction>) -> Result<(), SubmitError> {
        let gone = self.view.live_mut().admit(transaction)?;
        self.waiting.forget(gone.iter().map(|gone| gone.hash().0));
        self.view.tell(Event::Waiting(Arc::clone(transaction)));
        Ok(())
    }

    /// The same for one that was admitted before a restart, whatever the base fee is now.
    pub fn admit_again(&self, transaction: &Arc<Transaction>) -> Result<(), SubmitError> {
        let gone = self.view.live_mut().admit_at(transaction, 0)?;
        self.waiting.forget(gone.iter().map(|gone| gone.hash().0));
        Ok(())
    }

    /// The same for one that came here first: what it gives tells when a restart would find it waiting.
    pub fn admit_durably(&self, transaction: &Arc<Transaction>) -> Result<Option<Durable>, SubmitError> {
        if !self.waiting.is_on_disk() {
            return self.admit(transaction).map(|()| None);
        }
        let durable = self.admit_to(transaction, |changes| self.waiting.write(changes))?;
        self.view.tell(Event::Waiting(Arc::clone(transaction)));
        Ok(Some(durable))
    }

    /// Takes a transaction in if the disk takes it; else everything stays as it was, what had to go for it too.
    fn admit_to<T>(
        &self,
        transaction: &Arc<Transaction>,
        write: impl FnOnce(Vec<Change>) -> Option<T>,
    ) -> Result<T, SubmitError> {
        // One lock with what forgets, so that no block comes in between.
        let mut marks = self.waiting.marks();
        let mut live = self.view.live_mut();
        let gone = live.admit(transaction)?;
        let kept = (transaction.hash().0, &transaction.raw()[..]);
        let Some(durable) = marks.keep(kept, gone.iter().map(|gone| gone.hash().0), write) else {
            live.take_back(transaction, &gone);
            return Err(disk_behind());
        };
        Ok(durable)
    }

    /// Has the disk keep a transaction that waits here, whoever showed it; what it gives tells when a restart would find it. Nothing where
    /// there is no disk, or where it is in a block already.
    pub fn keep(&self, transaction: &Transaction) -> Result<Option<Durable>, SubmitError> {
        if !self.waiting.is_on_disk() {
            return Ok(None);
        }
        let hash = transaction.hash();
        // As above: no block comes in between.
        let mut marks = self.waiting.marks();
        if self.view.live().pool.get(&hash).is_none() {
            return Ok(None);
        }
        let kept = marks.keep((hash.0, &transaction.raw()[..]), [], |changes| self.waiting.write(changes));
        kept.map(Some).ok_or_else(disk_behind)
    }

    /// What a proposal has room for, best paid first, after what is `promised` to blocks that are not executed yet.
    pub fn propose(&self, transactions: usize, bytes: usize, promised: &[Vec<Hash>]) -> Vec<Vec<u8>> {
        let live = self.view.live();
        if live.pool.is_empty() {
            return Vec::new();
        }
        let base_fee = live.newest().map_or(0, |newest| evm::base_fee_after(newest.block.header.inner()));
        let room = Room { base_fee, gas: self.view.chain().gas_limit, transactions, bytes };
        let promised = live.pool.promised(promised.iter().map(|block| block.iter().copied()), room.gas);
        let ready = live.pool.ready(|sender| live.nonce(sender), room, &promised);
        ready.iter().map(|transaction| transaction.raw().to_vec()).collect()
    }

    /// Shows a block that was executed, and writes it down.
    pub fn publish(&self, ran: &Ran) {
        let Some(block) = ran.block() else { return };
        // For whoever asks: what fails to be read there is no failure of execution.
        let (before, world) = (ran.before().world.aside(), ran.after().world.aside());
        let made = Recent { block: Arc::clone(block), before, world };
        let durable = self.write(&made, ended(ran.executed()));
        let mut gone: Vec<Hash> = block.transactions.iter().map(Transaction::hash).collect();
        gone.extend(hopeless(ran.executed()));
        {
            let mut live = self.view.live_mut();
            gone.iter().for_each(|hash| live.pool.remove(hash));
            gone.extend(live.push(made));
            live.trim(&KEEP, durable);
        }
        self.waiting.forget(gone.into_iter().map(|hash| hash.0));
        self.view.tell(Event::Block(Arc::clone(block)));
    }

    /// What became of a native transaction, in any block that is kept. Without an index nothing is known of any.
    pub fn native(&self, id: &Hash) -> Result<Option<NativeOutcome>, NodeError> {
        let on_its_way = locked(&self.written).iter().find_map(|written| {
            let refusal = written.natives.get(id)?;
            Some(NativeOutcome { block: written.number, refusal: refusal.clone() })
        });
        // What is no longer on its way is there.
        on_its_way.map_or_else(|| self.view.native(id), |outcome| Ok(Some(outcome)))
    }

    /// Removes blocks that are older than what is kept, but none above `needed`, which a restart begins from.
    pub fn remove_old(&self, number: u64, needed: u64) {
        let (Some(keep), Some(index)) = (self.keep_blocks, self.view.index()) else { return };
        let (first, below) = (self.view.oldest().max(1), number.saturating_sub(keep.saturating_sub(1)).min(needed));
        let until = below.min(first.saturating_add(REMOVED_AT_ONCE));
        if until <= first {
            return;
        }
        match self.removal(index, first..until) {
            // Where the disk is behind, the next block tries again.
            Ok(changes) => {
                if index.store().try_submit(changes).is_some() {
                    self.view.keep_from(until);
                }
            }
            Err(error) => tracing::warn!(%error, first, "failed to remove old blocks"),
        }
    }

    fn removal(&self, index: &Index, numbers: Range<u64>) -> Result<Vec<Change>, NodeError> {
        let mut changes = index.remove(numbers.clone())?;
        changes.extend(self.view.undos().map_or(Ok(Vec::new()), |undos| undos.remove(numbers))?);
        Ok(changes)
    }

    /// What a block overwrote, to be written with it. Where that cannot be read, states that are older than it are told no more.
    fn overwritten(&self, made: &Recent) -> Vec<Change> {
        let Some(undos) = self.view.undos() else { return Vec::new() };
        let parent = self.view.live().newest().map(|parent| parent.world.clone());
        parent.and_then(|parent| undos.put(&parent, made)).unwrap_or_else(|error| {
            let number = made.block.header.number;
            tracing::warn!(%error, number, "what a block overwrote is not known: older states are gone");
            undos.begin_after(number)
        })
    }

    /// Hands a block to the index; the newest that is durable there, if there is one.
    fn write(&self, made: &Recent, natives: Natives) -> Option<u64> {
        let number = made.block.header.number;
        let index = self.view.index()?;
        let mut changes = Index::put(&made.block);
        changes.extend(Index::put_natives(number, &natives));
        changes.extend(self.overwritten(made));
        let durable = index.store().submit_sleeping(changes);
        let mut written = locked(&self.written);
        match durable {
            Ok(durable) => written.push_back(Written { number, durable, natives }),
            Err(error) => std::panic::panic_any(format!("the index of blocks cannot be written: {error}")),
        }
        while let Some(oldest) = written.front_mut() {
            match oldest.durable.poll() {
                None => break,
                Some(Ok(())) => written.pop_front(),
                // Going on would fill the memory with what the disk does not take.
                Some(Err(error)) => std::panic::panic_any(format!("the index of blocks cannot be written: {error}")),
            };
        }
        Some(written.front().map_or(number, |oldest| oldest.number.saturating_sub(1)))
    }
}

fn disk_behind() -> SubmitError {
    SubmitError::Full("the disk is behind".to_owned())
}

/// The native transactions that a block ended. What else it refuses of them leaves their nonces as they are, and another may execute it.
fn ended(executed: &Executed) -> Natives {
    let counted = executed.outcomes.iter().filter(|outcome| outcome.is_counted);
    let words = |refusal: &Refusal| refusal.to_string().chars().take(REFUSAL_MAX).collect::<String>();
    counted.filter_map(|outcome| Some((outcome.id?.0.into(), outcome.result.as_ref().err().map(words)))).collect()
}

/// Refused, and not only for now: no later block can hold them either.
fn hopeless(executed: &Executed) -> impl Iterator<Item = Hash> + '_ {
    executed.outcomes.iter().filter_map(|outcome| {
        let Err(Refusal::Ethereum(refusal)) = &outcome.result else { return None };
        let is_for_now = matches!(
            refusal,
            evm::Refusal::NoRoom { .. } | evm::Refusal::FeeTooLow { .. } | evm::Refusal::NonceTooHigh { .. }
        );
        Some(Hash::from(outcome.id?.0)).filter(|_| !is_for_now)
    })
}

/// Does something to each of many, on as many threads as pay.
fn on_all_cores<T: Send>(items: &mut [T], work: impl Fn(&mut T) + Sync) {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    if items.len() < ALONE || cores < 2 {
        return items.iter_mut().for_each(work);
    }
    let share = items.len().div_ceil(cores);
    thread::scope(|scope| {
        for part in items.chunks_mut(share) {
            scope.spawn(|| part.iter_mut().for_each(&work));
        }
    });
}

#[cfg(test)]
pub(crate) mod tests;
