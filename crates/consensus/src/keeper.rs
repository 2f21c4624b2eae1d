//! Hands finalized blocks to the application, one at a time and in height order, and keeps the terms by them.
//!
//! One thread folds blocks into terms, asks the application whom it names, and plays this node's part in handing the network's key on;
//! so nothing is decided about a term before the block that decides it is executed. A term's record and this node's shares are durable
//! before the first block of the term is given, so at any crash either the old term is taken up again or the new one.
//! An application that restarts from an older snapshot is given the blocks in between from our archive first.

mod round;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use commonware_actor::Feedback;
use commonware_consensus::{Reporter, marshal::Update, types::Height};
use commonware_cryptography::{Digested, Digestible as _, ed25519::PublicKey};
use commonware_p2p::{Receiver, Sender};
use commonware_runtime::Handle;
use commonware_utils::{
    Acknowledgement,
    acknowledgement::Exact,
    channel::{mpsc, oneshot},
};
use futures::{FutureExt, select_biased};

use crate::{
    Application, Block, FinalizedBlock, Mailbox, Requests, Seat,
    application::Command,
    archive::BLOCKS_PER_SECTION,
    beginning::Beginning,
    committee::{TermKey, rotation_digest},
    environment::{Environment, now_ms},
    log_pool::LogPool,
    member::Member,
    reshare::{Decided, Ended, KeyState, Terms, Turned, second_round},
    roster::Roster,
    seat::Seats,
    store::StoreError,
    term_store::{OwnShares, TermRecord, TermStore},
};

pub(crate) use round::MAX_ROUND_MESSAGE_BYTES;
use round::Rounds;

type Delivered = (Digested<Block>, Exact);

/// How often a round looks at its clock.
const TICK: Duration = Duration::from_millis(250);

/// Marshal's end: queues what it reports. Marshal bounds the queue by its unacknowledged blocks.
#[derive(Clone)]
pub(crate) struct Queue {
    delivered: mpsc::UnboundedSender<Delivered>,
    requests: Requests,
}

impl Queue {
    pub fn new(requests: Requests) -> (Self, mpsc::UnboundedReceiver<Delivered>) {
        let (delivered, receiver) = mpsc::unbounded_channel();
        (Self { delivered, requests }, receiver)
    }
}

impl Reporter for Queue {
    type Activity = Update<Block>;

    fn report(&mut self, update: Self::Activity) -> Feedback {
        match update {
            // Neither durable nor in order: it tells no more than how far the others are.
            Update::Tip(_, height, _) => {
                self.requests.set_finalized(height.get());
                Feedback::Ok
            }
            Update::Block(block, acknowledgement) => match self.delivered.send((block, acknowledgement)) {
                Ok(()) => Feedback::Ok,
                Err(_) => Feedback::Closed,
            },
        }
    }
}

/// A term began here: agreement is to run in it.
pub(crate) struct Begun {
    pub term: u64,
    pub seats: Arc<Seats>,
    /// Whom the ledger named for the term after it, if they make a committee.
    pub next: Option<Arc<Seats>>,
    /// Digest of the block that the term begins on.
    pub begin: [u8; 32],
}

pub(crate) struct Keeper<E: Environment, S> {
    pub context: E,
    pub member: Arc<Member>,
    pub application: Arc<dyn Application>,
    pub requests: Requests,
    pub mailbox: Mailbox,
    /// Height of the newest block that the application was given; starts at the application's own.
    pub delivered: Arc<AtomicU64>,
    pub roster: Roster,
    /// Who has records of terms signed, and who has the next key signed for.
    pub records: mpsc::UnboundedSender<Command>,
    pub rotations: mpsc::UnboundedSender<Command>,
    /// The oldest term of which something waits for a signature.
    pub unsigned_from: u64,
    pub logs: LogPool,
    pub begun: mpsc::UnboundedSender<Begun>,
    pub sender: S,
}

/// The term that is under way.
struct Term {
    record: TermRecord,
    seats: Arc<Seats>,
    next: Option<Arc<Seats>>,
    /// Absent where terms do not end.
    fold: Option<Terms>,
    shares: OwnShares,
    rounds: Rounds,
}

impl<E: Environment, S: Sender<PublicKey = PublicKey>> Keeper<E, S> {
    /// On a thread of its own where the runtime has threads: the application may compute and sync its disk.
    pub fn start<R>(self, store: TermStore<E>, queue: mpsc::UnboundedReceiver<Delivered>, receiver: R) -> Handle<()>
    where
        R: Receiver<PublicKey = PublicKey>,
    {
        let context = self.context.child("keeper");
        context.dedicated().spawn(move |_| async move {
            if let Err(error) = self.run(store, queue, receiver).await {
                // Going on would mean another state than everyone else's.
                tracing::error!(%error, "keeper of terms stopped");
                std::panic::panic_any(error.to_string());
            }
        })
    }

    async fn run<R>(
        mut self,
        store: TermStore<E>,
        mut queue: mpsc::UnboundedReceiver<Delivered>,
        mut receiver: R,
    ) -> Result<(), StoreError>
    where
        R: Receiver<PublicKey = PublicKey>,
    {
        let (mut store, mut term) = self.first(store).await?;
        let processed = self.mailbox.get_processed().await.map_or(0, |processed| processed.height().get());
        store = self.replay(store, &mut term, processed).await?;
        let mut kept_from = 0;
        let mut next_tick = self.context.current();
        loop {
            let is_held = !term.rounds.is_empty();
            let tick = async {
                if is_held { self.context.sleep_until(next_tick).await } else { futures::future::pending().await }
            };
            // Messages first: they are few, and blocks that are replayed for long must not make us miss a round.
            let message = select_biased! {
                message = receiver.recv().fuse() => match message {
                    Ok((from, bytes)) => Some(Some((from, bytes))),
                    Err(_) => return Ok(()),
                },
                () = tick.fuse() => Some(None),
                delivered = queue.recv().fuse() => {
                    let Some((block, acknowledgement)) = delivered else { return Ok(()) };
                    let height = block.inner().height();
                    store = self.replay(store, &mut term, height.saturating_sub(1)).await?;
                    store = self.take(store, &mut term, &block).await?;
                    acknowledgement.acknowledge();
                    kept_from = self.prune(&term, kept_from);
                    None
                }
            };
            if let Some(message) = message {
                store = match message {
                    Some((from, bytes)) => self.hear(store, &mut term, &from, bytes.as_ref()).await?,
                    None => {
                        next_tick = self.context.current() + TICK;
                        self.tick(store, &mut term, now_ms(&self.context)).await?
                    }
                };
            }
            store = self.close_logs(store, &mut term, now_ms(&self.context)).await?;
        }
    }

    /// The term that was under way, or the first of all.
    async fn first(&mut self, mut store: TermStore<E>) -> Result<(TermStore<E>, Term), StoreError> {
        let newest = store.newest();
        let kept = match newest {
            Some(term) => store.record(term).await?.map(|record| (term, record)),
            None => None,
        };
        let (number, record);
        (store, number, record) = match (kept, &self.member.beginning) {
            (Some((term, record)), _) => (store, term, record),
            (None, Some(beginning)) => begin_late(store, beginning, &self.member.shares()).await?,
            (None, None) => {
                let record = self.genesis();
                (store.begin(0, &record, &self.member.shares()).await?, 0, record)
            }
        };
        let oldest = number.saturating_sub(2).min(self.unsigned_from);
        for earlier in oldest..number {
            if let Some(before) = store.record(earlier).await? {
                let seats = self.roster.enter_record(earlier, &before)?;
                let is_last_of_its_key = match store.record(earlier.saturating_add(1)).await? {
                    Some(after) => after.key.serial != before.key.serial,
                    None => false,
                };
                // What was closed in it and has no certificate yet gets one of its own key.
                if is_last_of_its_key || earlier.saturating_add(1) == number {
                    let key = self.key(earlier, &before, &seats, &store.shares(earlier)?)?;
                    self.tell_certifiers(earlier, key);
                }
            }
        }
        self.enter(store, number, record).await
    }

    /// The first term's record.
    fn genesis(&self) -> TermRecord {
        let next = if self.member.rules.turns() { named(self.application.committee(1)) } else { Vec::new() };
        TermRecord {
            height: 0,
            begin: self.member.genesis().digest().0,
            seats: self.member.seats.list(),
            polynomial: self.member.polynomial.clone(),
            next,
            key: KeyState::default(),
        }
    }

    /// Begins a term that is durable: everybody here hears of it.
    async fn enter(
        &mut self,
        mut store: TermStore<E>,
        number: u64,
        record: TermRecord,
    ) -> Result<(TermStore<E>, Term), StoreError> {
        let seats = self.roster.enter_record(number, &record)?;
        let next = Seats::read(&record.next).ok().map(Arc::new);
        let shares = store.shares(number)?;
        let key = self.key(number, &record, &seats, &shares)?;
        self.tell_certifiers(number, key);
        if self.member.rules.turns() {
            self.have_signed(number, &record)?;
        }
        self.logs.begin(number);
        // Agreement goes on, while what this node deals in the term's rounds is made. A send fails only after shutdown.
        let begun = Begun { term: number, seats: Arc::clone(&seats), next: next.clone(), begin: record.begin };
        let _ = self.begun.send(begun);
        let fold = match self.member.rules.turns() {
            true => Some(Terms::resume(self.member.rules, record.state())?),
            false => None,
        };
        let rounds = match &fold {
            Some(fold) => Rounds::resume(fold, &self.member, &shares, &store.noted(number).await?),
            None => Rounds::default(),
        };
        Ok((store, Term { record, seats, next, fold, shares, rounds }))
    }

    /// With which key a term's committee signs. Sends fail only after shutdown.
    fn tell_certifiers(&self, term: u64, key: TermKey) {
        let chain_id = self.member.chain_id;
        if self.member.rules.turns() {
            let _ = self.records.send(Command::Term { term, key: key.clone().for_records(chain_id) });
            let _ = self.rotations.send(Command::Term { term, key: key.clone().for_rotations(chain_id) });
        }
        self.requests.command(Command::Term { term, key });
    }

    /// What a term's committee signs as the term begins: its record, and which key comes after the present one.
    fn have_signed(&self, term: u64, record: &TermRecord) -> Result<(), StoreError> {
        let _ = self.records.send(Command::Certify { epoch: term, digest: record.digest(term), term });
        if let Some((serial, fresh)) = record.fresh_key()? {
            let digest = rotation_digest(self.member.chain_id, serial, &fresh);
            let _ = self.rotations.send(Command::Certify { epoch: term, digest, term });
        }
        Ok(())
    }

    fn key(&self, number: u64, record: &TermRecord, seats: &Seats, shares: &OwnShares) -> Result<TermKey, StoreError> {
        let mut key = TermKey::read(self.member.chain_id, &record.polynomial, seats.keys())?;
        if self.member.beginning.as_ref().is_some_and(|beginning| number <= beginning.term) {
            key = key.with_earlier(&self.member.network_keys);
        }
        for own in &shares.present {
            match self.member.seat(&own.seat) {
                Some(seat) => key = key.with_share(&own.share, seats.keys(), &seat.public)?,
                None => tracing::warn!("a share is of a seat whose key this node has no more"),
            }
        }
        Ok(key)
    }

    /// Gives the application and the fold what they lack up to `until` from the archive.
    async fn replay(
        &mut self,
        mut store: TermStore<E>,
        term: &mut Term,
        until: u64,
    ) -> Result<TermStore<E>, StoreError> {
        loop {
            let delivered = self.delivered.load(Ordering::Relaxed);
            if let Some(fold) = &mut term.fold {
                fold.pass(until.min(delivered));
            }
            let folded = term.fold.as_ref().map_or(u64::MAX, |fold| fold.state().height);
            let next = delivered.min(folded).saturating_add(1);
            if next > until {
                return Ok(store);
            }
            let Some(block) = self.mailbox.get_block(Height::new(next)).await else {
                tracing::warn!(height = next, "archive lacks a block that the application asks for");
                return Ok(store);
            };
            store = self.take(store, term, &block).await?;
        }
    }

    /// Takes a block in, each part only if it did not before.
    async fn take(
        &mut self,
        store: TermStore<E>,
        term: &mut Term,
        block: &Digested<Block>,
    ) -> Result<TermStore<E>, StoreError> {
        let height = block.inner().height();
        if height > self.delivered.load(Ordering::Relaxed) {
            let seated = self.seated(&store, term, height).await?;
            self.give(block, seated);
            self.await_requests().await;
        }
        if term.fold.as_ref().is_some_and(|fold| height > fold.state().height) {
            return self.fold(store, term, block).await;
        }
        Ok(store)
    }

    /// Who sits from this height on, if a term other than the first begins there.
    async fn seated(&self, store: &TermStore<E>, term: &Term, height: u64) -> Result<Option<Vec<Seat>>, StoreError> {
        let rules = &self.member.rules;
        let number = rules.term(height);
        self.requests.set_term(number);
        if number == 0 || height != rules.first(number) {
            return Ok(None);
        }
        if term.record.height == height.saturating_sub(1) {
            return Ok(Some(term.record.seats.clone()));
        }
        Ok(store.record(number).await?.map(|record| record.seats))
    }

    fn give(&self, block: &Digested<Block>, seated: Option<Vec<Seat>>) {
        let digest = block.digest().0;
        self.application.finalized(FinalizedBlock { block: block.inner_shared(), digest, seated });
        self.delivered.store(block.inner().height(), Ordering::Relaxed);
    }

    /// The roots that the application gave while it took the block are durable before marshal forgets the block.
    async fn await_requests(&self) {
        let (answer, done) = oneshot::channel();
        self.requests.command(Command::Barrier(answer));
        let _ = done.await;
    }

    async fn fold(
        &mut self,
        store: TermStore<E>,
        term: &mut Term,
        block: &Digested<Block>,
    ) -> Result<TermStore<E>, StoreError> {
        let Some(fold) = &mut term.fold else { return Ok(store) };
        let height = block.inner().height();
        let logs: Vec<&[u8]> = block.inner().logs().iter().map(Vec::as_slice).collect();
        let mut next = Vec::new();
        let ask = |term| {
            next = named(self.application.committee(term));
            Decided {
                next: next.iter().map(|seat| seat.key).collect(),
                named_key: self.application.named_key(),
                key_clock: self.application.key_clock(),
            }
        };
        let folded = fold.block(height, &logs, ask, &mut self.context)?;
        for taken in &folded.logs {
            match taken {
                Ok(dealt) => self.logs.remove(dealt),
                Err(refused) => tracing::debug!(height, %refused, "a dealer's log does not count"),
            }
        }
        match folded.turned {
            Some(turned) => {
                let ended = fold.take_ended();
                self.turn(store, term, (turned, ended), next, block.digest().0).await
            }
            None => Ok(store),
        }
    }

    /// The term ended with this block: the next begins, with new shares, or with the old ones if the round failed.
    async fn turn(
        &mut self,
        store: TermStore<E>,
        term: &mut Term,
        (turned, ended): (Turned, Ended),
        next: Vec<Seat>,
        begin: [u8; 32],
    ) -> Result<TermStore<E>, StoreError> {
        tell(&turned);
        let shares = new_shares(std::mem::take(&mut term.rounds), &term.shares, &turned, &ended);
        let nodes: BTreeMap<[u8; 32], [u8; 32]> =
            term.record.next.iter().chain(&term.record.seats).map(|seat| (seat.key, seat.node)).collect();
        let seat = |key: &[u8; 32]| Seat { key: *key, node: nodes.get(key).copied().unwrap_or(*key) };
        let record = TermRecord {
            height: self.member.rules.boundary(turned.term.saturating_sub(1)),
            begin,
            seats: turned.committee.members.iter().map(seat).collect(),
            polynomial: turned.committee.polynomial,
            next,
            key: turned.key,
        };
        let store = store.begin(turned.term, &record, &shares).await?;
        let (store, entered) = self.enter(store, turned.term, record).await?;
        *term = entered;
        Ok(store)
    }

    /// Lets go of blocks that neither the application nor the fold will ask for.
    fn prune(&self, term: &Term, kept_from: u64) -> u64 {
        let needed = if term.fold.is_some() { term.record.height } else { u64::MAX };
        let wanted = self.requests.kept_from().min(needed);
        if wanted < kept_from.saturating_add(BLOCKS_PER_SECTION.get()) {
            return kept_from;
        }
        self.mailbox.prune(Height::new(wanted));
        wanted
    }
}

/// What others said of the term that is under way and of the one before it, written down as if it had been seen here.
async fn begin_late<E: Environment>(
    mut store: TermStore<E>,
    beginning: &Beginning,
    shares: &OwnShares,
) -> Result<(TermStore<E>, u64, TermRecord), StoreError> {
    let Beginning { term, record, before, .. } = beginning;
    let none = OwnShares::default();
    if let Some(before) = before {
        store = store.begin(term.saturating_sub(1), before, &none).await?;
    }
    // Only the first term's shares are not dealt in the term before.
    store = store.begin(*term, record, if *term == 0 { shares } else { &none }).await?;
    Ok((store, *term, record.clone()))
}

/// This node's shares in the term that begins.
fn new_shares(mut rounds: Rounds, before: &OwnShares, turned: &Turned, logs: &Ended) -> OwnShares {
    let ended = turned.term.saturating_sub(1);
    let present = match &turned.round {
        Ok(_) if turned.is_handed_on => rounds.handed_on(ended, logs),
        Ok(_) | Err(_) => before.present.clone(),
    };
    let fresh = match &turned.second {
        Some(Ok(_)) if turned.is_handed_on => rounds.second(ended, logs),
        Some(_) | None => before.fresh.clone(),
    };
    if turned.is_rotated { OwnShares { present: fresh, fresh: Vec::new() } } else { OwnShares { present, fresh } }
}

fn tell(turned: &Turned) {
    let Turned { term, committee, key, .. } = turned;
    match &turned.round {
        Ok(outcome) if turned.is_handed_on => {
            let revealed = outcome.revealed.len();
            tracing::info!(term, seats = committee.members.len(), revealed, "key handed on");
        }
        Ok(_) => tracing::warn!(term, "the committee of the term before stays: its fresh key was not handed on"),
        Err(stayed) => tracing::warn!(term, %stayed, "the committee of the term before stays"),
    }
    if let Some(Err(stayed)) = &turned.second {
        tracing::warn!(round = second_round(term.saturating_sub(1)), %stayed, "a round for the next key failed");
    }
    if turned.is_rotated {
        tracing::info!(term, serial = key.serial, "the network signs with another key");
    }
}

/// Whom the application names, in order; nobody if they make no committee.
fn named(mut seats: Vec<Seat>) -> Vec<Seat> {
    seats.sort_unstable();
    match Seats::read(&seats) {
        Ok(_) => seats,
        Err(error) => {
            tracing::warn!(%error, "the ledger named no committee");
            Vec::new()
        }
    }
}
