//! What readers see of a chain: the newest blocks with their states, what waits, and older blocks from the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_consensus::{Header, Sealed};
use alloy_primitives::B256;
use evm::{Block, Chain, World};
use rpc::{Event, LogKey, NodeError, Place, State};
use tokio::sync::broadcast;

use crate::index::{Index, NativeOutcome};
use crate::live::Live;
use crate::undo::{Step, Undos};

/// News that a slow listener may be behind.
const NEWS: usize = 4_096;

/// One chain for any number of readers and one writer. No lock is held while anything is executed or read from a disk.
pub struct View {
    chain: Chain,
    index: Option<Index>,
    undos: Option<Undos>,
    live: RwLock<Live>,
    /// Older blocks were removed from the index, but for the first.
    oldest: AtomicU64,
    events: broadcast::Sender<Event>,
}

impl View {
    /// Without an index, blocks that are no longer recent are gone.
    pub fn new(chain: Chain, index: Option<Index>, live: Live) -> Self {
        let (live, oldest, events) = (RwLock::new(live), AtomicU64::new(0), broadcast::channel(NEWS).0);
        Self { chain, index, undos: None, live, oldest, events }
    }

    /// The same with states of blocks that are no longer recent, as far as these reach.
    #[must_use]
    pub fn with_undos(self, undos: Undos) -> Self {
        Self { undos: Some(undos), ..self }
    }

    /// What blocks overwrote, where that is kept.
    pub fn undos(&self) -> Option<&Undos> {
        self.undos.as_ref()
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

    /// The number from which on blocks are kept.
    pub fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Relaxed)
    }

    /// Says that older blocks are gone, or are about to go.
    pub fn keep_from(&self, oldest: u64) {
        self.oldest.fetch_max(oldest, Ordering::Relaxed);
    }

    fn check_kept(&self, number: u64) -> Result<(), NodeError> {
        let oldest = self.oldest();
        if number > 0 && number < oldest { Err(NodeError::BlockGone { asked: number, oldest }) } else { Ok(()) }
    }

    /// Tells whoever listens; nobody has to.
    pub fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// What the index says of something that is not recent: nothing about blocks that are not told yet.
    fn indexed<T>(
        &self,
        read: impl FnOnce(&Index) -> Result<Option<T>, NodeError>,
        number: impl FnOnce(&T) -> u64,
    ) -> Result<Option<T>, NodeError> {
        let Some(index) = &self.index else { return Ok(None) };
        let head = self.live().head();
        let oldest = self.oldest();
        Ok(read(index)?.filter(|found| {
            let number = number(found);
            number <= head && (number == 0 || number >= oldest)
        }))
    }

    pub fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError> {
        if let Some(header) = self.live().header(number) {
            return Ok(Some(header.clone()));
        }
        self.check_kept(number)?;
        self.indexed(|index| index.header(number), |_| number)
    }

    pub fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError> {
        if let Some(block) = self.live().block(number) {
            return Ok(Some(Arc::clone(block)));
        }
        self.check_kept(number)?;
        self.indexed(|index| index.block(number), |_| number)
    }

    pub fn number_of(&self, block: &B256) -> Result<Option<u64>, NodeError> {
        if let Some(number) = self.live().number_of(block) {
            return Ok(Some(number));
        }
        self.indexed(|index| index.number_of(block), |number| *number)
    }

    pub fn place_of(&self, transaction: &B256) -> Result<Option<Place>, NodeError> {
        if let Some(place) = self.live().place_of(transaction) {
            return Ok(Some(place));
        }
        self.indexed(|index| index.place_of(transaction), |place| place.block)
    }

    /// What became of a native transaction, as the index has it by now.
    pub fn native(&self, id: &B256) -> Result<Option<NativeOutcome>, NodeError> {
        self.indexed(|index| index.native(id), |outcome| outcome.block)
    }

    /// Blocks from `from` on that may have logs of this key, in order, at most `most`: those whose rows in the index say so, and all whose
    /// rows are not there yet.
    pub fn logged(&self, key: &LogKey, from: u64, most: usize) -> Result<Vec<u64>, NodeError> {
        let beyond = self.live().head().saturating_add(1);
        let Some(index) = &self.index else { return Ok((from..beyond).take(most).collect()) };
        // Asked first: what is written from here on counts as not written.
        let unlogged = index.unlogged_from()?.clamp(from, beyond.max(from));
        let mut found = index.logged(key, from..unlogged, most)?;
        found.extend((unlogged..beyond).take(most.saturating_sub(found.len())));
        Ok(found)
    }

    /// The state after a block.
    pub fn state(&self, number: u64) -> Result<State, NodeError> {
        self.state_of(number, Step::after(number), |(_, after)| after)
    }

    /// The state before a block's transactions.
    pub fn state_before(&self, number: u64) -> Result<State, NodeError> {
        self.state_of(number, Step::before(number), |(before, _)| before)
    }

    fn state_of(
        &self,
        number: u64,
        step: Step,
        choose: impl for<'b> FnOnce((&'b World, &'b World)) -> &'b World,
    ) -> Result<State, NodeError> {
        let (here, oldest, later) = {
            let live = self.live();
            let (oldest, later) = live.oldest()?;
            (live.states(number).map(|states| choose(states).clone()), oldest, later.clone())
        };
        // The state that this start began with may be one that the chain has acted on since its block: the disk tells it better.
        let undos = self.undos.as_ref().filter(|undos| number < oldest || undos.began_with(number));
        match (here, undos.map(|undos| undos.as_of(step, later))) {
            (Some(here), None) => Ok(Arc::new(here)),
            (Some(here), Some(Err(NodeError::StateGone { .. }))) if step == Step::after(number) => Ok(Arc::new(here)),
            (None, None) => Err(NodeError::StateGone { asked: number, oldest }),
            (None, Some(Err(NodeError::StateGone { asked, oldest: told }))) => {
                Err(NodeError::StateGone { asked, oldest: told.min(oldest) })
            }
            (_, Some(told)) => told,
        }
    }
}
