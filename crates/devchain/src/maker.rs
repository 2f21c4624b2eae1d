//! Takes what arrives, makes blocks of what is ready, makes all of it durable with one commit, and only then tells anyone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use blocks::{Keep, Promised, Recent, Room, View, waiting};
use evm::{Block, BlockBuilder, PushError, Refusal, StateRead as _, Transaction};
use rpc::{Event, NodeError, SubmitError};
use storage::Change;
use tokio::sync::{mpsc, oneshot};

use crate::kept::{self, Kept};
use crate::surroundings::Surroundings;

/// Transactions that one commit takes at most.
const BATCH: usize = 512;
/// While something waits for a lower base fee, an empty block is made so often: only blocks lower it.
const TICK: Duration = Duration::from_secs(1);

/// A transaction, and whoever waits for it to be safe.
pub(crate) struct Arrival {
    pub transaction: Arc<Transaction>,
    pub answer: oneshot::Sender<Result<(), SubmitError>>,
}

/// The only one who makes blocks.
pub(crate) struct Maker {
    view: Arc<View>,
    kept: Kept,
    surroundings: Surroundings,
    states: u64,
    /// Set for ever by a commit that failed: what is in memory may then be ahead of the disk.
    broken: Option<String>,
}

/// What one step came to, before it is durable.
#[derive(Default)]
struct Step {
    answers: BTreeMap<B256, oneshot::Sender<Result<(), SubmitError>>>,
    changes: Vec<Change>,
    blocks: Vec<Recent>,
    /// Refused by the state as it was when their turn came.
    dropped: Vec<(Arc<Transaction>, SubmitError)>,
}

/// Runs until nobody can send any more.
pub(crate) async fn run(mut maker: Maker, mut arrivals: mpsc::Receiver<Arrival>) {
    let mut batch = Vec::new();
    loop {
        let has_waiting = !maker.view.live().pool.is_empty();
        tokio::select! {
            count = arrivals.recv_many(&mut batch, BATCH) => if count == 0 { return },
            () = tokio::time::sleep(TICK), if has_waiting => {}
        }
        let arrived = std::mem::take(&mut batch);
        let stepped = tokio::task::spawn_blocking(move || {
            maker.step(arrived);
            maker
        });
        match stepped.await {
            Ok(stepped) => maker = stepped,
            Err(_) => return,
        }
    }
}

impl Maker {
    pub fn new(view: Arc<View>, kept: Kept, surroundings: Surroundings, states: u64) -> Self {
        Self { view, kept, surroundings, states, broken: None }
    }

    fn step(&mut self, arrived: Vec<Arrival>) {
        if let Some(reason) = &self.broken {
            for arrival in arrived {
                let _ = arrival.answer.send(Err(SubmitError::Closed(reason.clone())));
            }
            return;
        }
        let is_tick = arrived.is_empty();
        let mut step = Step::default();
        for arrival in arrived {
            self.admit(arrival, &mut step);
        }
        let made = self.make_all(is_tick, &mut step).map_err(|error| error.to_string());
        let changes = std::mem::take(&mut step.changes);
        let durable = made.and_then(|()| {
            if changes.is_empty() { Ok(()) } else { self.kept.commit(changes).map_err(|error| error.to_string()) }
        });
        match durable {
            Ok(()) => self.publish(step),
            Err(reason) => {
                for answer in step.answers.into_values() {
                    let _ = answer.send(Err(SubmitError::Closed(reason.clone())));
                }
                self.broken = Some(reason);
            }
        }
    }

    /// Into the pool, or back to the sender.
    fn admit(&self, arrival: Arrival, step: &mut Step) {
        let Arrival { transaction, answer } = arrival;
        let hash = transaction.hash();
        match self.take(&transaction) {
            Ok(gone) => {
                step.changes.extend(gone.iter().map(|gone| waiting::remove(&gone.hash().0)));
                step.changes.push(waiting::put(&hash.0, transaction.raw().to_vec()));
                step.answers.insert(hash, answer);
                self.view.tell(Event::Waiting(transaction));
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    fn take(&self, transaction: &Arc<Transaction>) -> Result<Vec<Arc<Transaction>>, SubmitError> {
        let unreadable = |error: NodeError| SubmitError::Closed(error.to_string());
        if self.view.place_of(&transaction.hash()).map_err(unreadable)?.is_some() {
            return Err(SubmitError::AlreadyKnown);
        }
        self.view.live_mut().admit(transaction)
    }

    /// Blocks until nothing is ready; on a tick at least one, if something waits for a lower base fee.
    fn make_all(&self, is_tick: bool, step: &mut Step) -> Result<(), NodeError> {
        let mut parent = self.view.live().newest()?.clone();
        let mut may_be_empty = is_tick;
        loop {
            let ready = self.ready(&parent, step)?;
            let is_held_back = may_be_empty && ready.is_empty() && self.is_held_back(&parent);
            if ready.is_empty() && !is_held_back {
                return Ok(());
            }
            may_be_empty = false;
            if let Some((made, changes)) = self.make(&parent, &ready, is_held_back, step)? {
                step.changes.extend(changes);
                step.blocks.push(made.clone());
                parent = made;
            }
        }
    }

    /// What the pool could give to the block after `parent`, but for what this step used already.
    fn ready(&self, parent: &Recent, step: &Step) -> Result<Vec<Arc<Transaction>>, NodeError> {
        let room = Room::of_gas(evm::base_fee_after(parent.block.header.inner()), self.view.chain().gas_limit);
        let nonce = |address: &_| parent.world.account(address).ok().flatten().unwrap_or_default().nonce;
        let ready = self.view.live().pool.ready(nonce, room, &Promised::new());
        // Those after a dropped one wait for another with its nonce.
        let follows = |one: &Transaction, dropped: &Transaction| {
            one.sender() == dropped.sender() && one.nonce() >= dropped.nonce()
        };
        let stays = |one: &Arc<Transaction>| !step.dropped.iter().any(|(dropped, _)| follows(one, dropped));
        Ok(ready.into_iter().filter(stays).collect())
    }

    /// Whether something waits that only a lower base fee lets in.
    fn is_held_back(&self, parent: &Recent) -> bool {
        let nonce = |address: &_| parent.world.account(address).ok().flatten().unwrap_or_default().nonce;
        !self.view.live().pool.ready(nonce, Room::of_gas(0, u64::MAX), &Promised::new()).is_empty()
    }

    /// One block; none if all that was ready was refused after all.
    fn make(
        &self,
        parent: &Recent,
        ready: &[Arc<Transaction>],
        may_be_empty: bool,
        step: &mut Step,
    ) -> Result<Option<(Recent, Vec<Change>)>, NodeError> {
        let failed = |error: &dyn std::fmt::Display| NodeError::Read(format!("no block could be made: {error}"));
        let next = self.surroundings.next(&parent.block.header);
        let header = parent.block.header.inner();
        let begun = BlockBuilder::begin(self.view.chain(), header, &parent.world, &next);
        let mut builder = begun.map_err(|error| failed(&error))?;
        let mut count = 0_usize;
        for transaction in ready {
            match builder.push((**transaction).clone()) {
                Ok(_) => count = count.saturating_add(1),
                // One before it was refused just now, or those before it left too little gas: the next block may hold it.
                Err(PushError::Refused(Refusal::NonceTooHigh { .. } | Refusal::NoRoom { .. })) => {}
                Err(PushError::Refused(refusal)) => {
                    step.changes.push(waiting::remove(&transaction.hash().0));
                    step.dropped.push((Arc::clone(transaction), refusal.into()));
                }
                Err(PushError::State(error)) => return Err(failed(&error)),
            }
        }
        if count == 0 && !may_be_empty {
            return Ok(None);
        }
        let executed = builder.finish();
        let mut world = parent.world.clone();
        let root = world.apply(&executed.changes).map_err(|error| failed(&error))?;
        let (block, changes): (Block, _) = executed.seal(root);
        let mut put = kept::block_changes(&block, &changes);
        let made = Recent { block: Arc::new(block), before: parent.world.clone(), world };
        put.extend(self.view.undos().map_or(Ok(Vec::new()), |undos| undos.put(&parent.world, &made))?);
        Ok(Some((made, put)))
    }

    /// It is durable: readers may see it, and whoever waits may know.
    fn publish(&self, step: Step) {
        {
            let mut live = self.view.live_mut();
            for made in &step.blocks {
                live.push(made.clone());
            }
            step.dropped.iter().for_each(|(dropped, _)| live.pool.remove(&dropped.hash()));
            // All of it is durable by now.
            let head = live.head();
            live.trim(&Keep::states(self.states), Some(head));
        }
        for made in step.blocks {
            self.view.tell(Event::Block(made.block));
        }
        let mut answers = step.answers;
        for (dropped, error) in step.dropped {
            if let Some(answer) = answers.remove(&dropped.hash()) {
                let _ = answer.send(Err(error));
            }
        }
        for answer in answers.into_values() {
            let _ = answer.send(Ok(()));
        }
    }
}
