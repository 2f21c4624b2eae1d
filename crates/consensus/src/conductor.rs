//! Runs agreement in each term: simplex for each of our seats, or as a listener where we have none.
//!
//! A term's simplex ends as the next term begins here: its last block is finalized then, and whoever lacks it is told by the messages of
//! the next term that others are ahead, and fetches it. So two terms never agree at once on one node.

use std::{sync::Arc, time::Duration};

use commonware_consensus::{
    Reporters,
    marshal::standard::Deferred,
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
    },
    types::{Epoch, EpochInfo, Epocher, Height},
};
use commonware_cryptography::{ed25519::PublicKey, sha256::Digest};
use commonware_p2p::{Blocker, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle as Task, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, Participant, channel::mpsc, vec::NonEmptyVec};
use futures::{FutureExt, future, select_biased};

use crate::{
    Mailbox, Scheme,
    block::key_bytes,
    counters::Counters,
    elector::InTurn,
    environment::Environment,
    evidence::Watch,
    keeper::Begun,
    limits::{FETCH_RETRY, FETCH_TIMEOUT, MAILBOX, VIEW_RETENTION},
    member::Member,
    proposer::Proposer,
    reshare::TermRules,
    seat::Seats,
    store::{REPLAY_BUFFER, WRITE_BUFFER},
    switch::{SeatBlocker, SeatReceiver, SeatSender, Switch},
};

/// What a leader gets beyond the idle wait before the others move on.
const LEADER_GRACE: Duration = Duration::from_millis(800);
/// How often it is looked whether nodes have new addresses.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often what others are ahead of us is asked for.
const HINT_EVERY: Duration = Duration::from_millis(50);

/// Whom the network keeps connections to.
pub(crate) trait Track: Send + 'static {
    /// Nodes that sit or are about to, the most important first, and others that may one day.
    fn track(&mut self, sitting: &[PublicKey]);
}

/// Height zero belongs to the first term, though no round counts it.
impl Epocher for TermRules {
    fn containing(&self, height: Height) -> Option<EpochInfo> {
        let epoch = Epoch::new(self.term(height.get()));
        Some(EpochInfo::new(epoch, height, self.first_height(epoch), self.last_height(epoch)))
    }

    fn first(&self, epoch: Epoch) -> Option<Height> {
        Some(self.first_height(epoch))
    }

    fn last(&self, epoch: Epoch) -> Option<Height> {
        Some(self.last_height(epoch))
    }
}

impl TermRules {
    fn first_height(&self, epoch: Epoch) -> Height {
        let is_first = epoch.get() == 0;
        Height::new(if is_first { 0 } else { self.first(epoch.get()) })
    }

    fn last_height(&self, epoch: Epoch) -> Height {
        Height::new(self.boundary(epoch.get()))
    }
}

pub(crate) struct Conductor<E: Environment, S, B, T> {
    pub context: E,
    pub member: Arc<Member>,
    pub proposer: Proposer,
    pub mailbox: Mailbox,
    pub blocker: B,
    pub track: T,
    /// Votes, certificates and what is missing.
    pub switches: [Switch<S>; 3],
    pub counters: Arc<Counters>,
    pub cache: CacheRef,
}

/// The term in which agreement runs here.
#[derive(Default)]
struct Running {
    term: Option<u64>,
    engines: Vec<Task<()>>,
    partitions: Vec<String>,
    /// Those of the term before: removed once another term has passed. The handle of an engine resolves when its parts (voter, batcher,
    /// resolver) are told to end, and not when they have: the poll that each is in goes on, and a voter that prunes in it and finds a blob
    /// missing ends agreement by a panic. The runtime lets nobody wait for the parts: a `Handle` joins its own task, those below it are known
    /// to a tree that is private, and `Spawner::stop` ends everything. A token that all parts hold (a field of `Watch`) would tell, but one
    /// that something kept would hold up the next term. No poll lasts a term.
    over: Vec<String>,
    sitting: Vec<PublicKey>,
}

impl<E, S, B, T> Conductor<E, S, B, T>
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    T: Track,
{
    pub fn start(mut self, begun: mpsc::UnboundedReceiver<Begun>, ahead: mpsc::Receiver<(u64, PublicKey)>) -> Task<()> {
        let context = self.context.child("terms");
        context.spawn(move |_| async move { self.run(begun, ahead).await })
    }

    async fn run(&mut self, mut begun: mpsc::UnboundedReceiver<Begun>, mut ahead: mpsc::Receiver<(u64, PublicKey)>) {
        let mut running = Running::default();
        let (mut look_at, mut hint_at) = (self.context.current(), self.context.current());
        loop {
            let ended = async {
                if running.engines.is_empty() {
                    future::pending::<()>().await;
                } else {
                    let _ = future::select_all(running.engines.iter_mut()).await;
                }
            };
            let heard = select_biased! {
                term = begun.recv().fuse() => match term {
                    Some(term) => Heard::Begun(term),
                    None => return,
                },
                () = ended.fuse() => {
                    // As the validator stops, or its disk failed; the log of the part that ended tells.
                    tracing::debug!("agreement ended in the middle of a term");
                    return;
                }
                sign = ahead.recv().fuse() => match sign {
                    Some((_, node)) => Heard::Ahead(node),
                    None => return,
                },
                () = self.context.sleep_until(look_at).fuse() => Heard::Time,
            };
            match heard {
                Heard::Begun(term) => running = self.begin(running, term).await,
                Heard::Ahead(node) => {
                    // It has finalized the term's last block, and gives it.
                    if let Some(term) = running.term.filter(|_| self.context.current() >= hint_at) {
                        hint_at = self.context.current() + HINT_EVERY;
                        let last = Height::new(self.member.rules.boundary(term));
                        self.mailbox.hint_finalized(last, NonEmptyVec::new(node));
                    }
                }
                Heard::Time => {
                    look_at = self.context.current() + LOOK_EVERY;
                    self.track.track(&running.sitting);
                }
            }
        }
    }

    async fn begin(&mut self, ended: Running, begun: Begun) -> Running {
        let Begun { term, seats, next, begin } = begun;
        for engine in &ended.engines {
            engine.abort();
        }
        for engine in ended.engines {
            // Ends with an error, because it was aborted.
            let _ = engine.await;
        }
        self.switches.iter().for_each(|switch| switch.close_before(term));
        let mut running = Running { term: Some(term), ..Running::default() };
        // Those that sat until now may lack its last block.
        let before = term.checked_sub(1).and_then(|before| self.member.roster.seats(before));
        for seats in [Some(Arc::clone(&seats)), next, before].into_iter().flatten() {
            running.sitting.extend(seats.iter().map(|(_, _, node)| node.clone()));
        }
        self.track.track(&running.sitting);
        let mut sitting: Vec<_> =
            self.member.sitting(&seats).into_iter().map(|(seat, scheme)| (Some(seat), scheme)).collect();
        if sitting.is_empty() {
            sitting.push((None, Scheme::verifier(&self.member.namespace, seats.keys().clone())));
        }
        // All listen before the first speaks.
        let open = |seat| self.switches.each_ref().map(|switch| switch.open(term, &seats, seat));
        let lines: Vec<_> = sitting.iter().map(|(seat, _)| open(*seat)).collect();
        self.switches.iter().for_each(|switch| switch.begun(term));
        for ((seat, scheme), lines) in sitting.into_iter().zip(lines) {
            self.run_seat(&mut running, &seats, (seat, scheme), lines, begin);
        }
        running.over = ended.partitions;
        for partition in ended.over {
            // Never used again: what cannot be removed only takes room.
            if let Err(error) = self.context.remove(&partition, None).await {
                tracing::debug!(%error, partition, "votes of a term that is over are not removed");
            }
        }
        running
    }

    /// Agrees with one seat, or listens.
    fn run_seat(
        &self,
        running: &mut Running,
        seats: &Arc<Seats>,
        (seat, scheme): (Option<Participant>, Scheme),
        lines: [Line<S>; 3],
        begin: [u8; 32],
    ) {
        let term = running.term.unwrap_or(0);
        let name = seat.and_then(|seat| commonware_utils::ordered::Quorum::key(seats.keys(), seat)).map(key_bytes);
        let name = name.map_or_else(|| "listener".to_owned(), |key| short(&key));
        let partition = format!("{}simplex-{term}-{name}", self.member.store_prefix);
        let context = self.context.child("seat").with_attribute("term", term).with_attribute("seat", &name);
        let watch = Watch {
            scheme: Scheme::verifier(&self.member.namespace, seats.keys().clone()),
            members: seats.keys().clone(),
            application: self.proposer.application.clone(),
            counters: self.counters.clone(),
        };
        running.engines.push(self.start_simplex(
            &context,
            Place { term, begin, partition: partition.clone(), scheme },
            watch,
            SeatBlocker { inner: self.blocker.clone(), me: self.member.me.clone(), seats: Arc::clone(seats) },
            lines,
        ));
        running.partitions.push(partition);
    }

    fn start_simplex(
        &self,
        context: &E,
        place: Place,
        watch: Watch,
        blocker: SeatBlocker<B>,
        [votes, certificates, missing]: [Line<S>; 3],
    ) -> Task<()> {
        let leader_timeout = Duration::from_millis(self.member.pacing.idle_ms) + LEADER_GRACE;
        let automaton =
            Deferred::new(context.child("automaton"), self.proposer.clone(), self.mailbox.clone(), self.member.rules);
        let floor = self.member.votes_from(place.term);
        let config = simplex::Config {
            scheme: place.scheme,
            elector: InTurn::new(),
            blocker,
            automaton: automaton.clone(),
            relay: automaton.clone(),
            reporter: Reporters::from((automaton, watch)),
            track_historical_votes: true,
            strategy: Sequential,
            partition: place.partition,
            mailbox_size: MAILBOX,
            epoch: Epoch::new(place.term),
            floor: floor.map_or_else(|| Floor::Genesis(Digest(place.begin)), Floor::Finalized),
            replay_buffer: REPLAY_BUFFER,
            write_buffer: WRITE_BUFFER,
            page_cache: self.cache.clone(),
            leader_timeout,
            certification_timeout: leader_timeout + LEADER_GRACE,
            timeout_retry: leader_timeout,
            view_retention: VIEW_RETENTION,
            skip: SkipPolicy::Enabled { timeout: leader_timeout * 5, budget: SkipBudget::Participants },
            fetch_timeout: NZDuration!(FETCH_TIMEOUT),
            fetch_retry_delay: FETCH_RETRY,
            forward: ForwardPolicy::Disabled,
        };
        simplex::Engine::new(context.child("simplex"), config).start(votes, certificates, missing)
    }
}

type Line<S> = (SeatSender<S>, SeatReceiver);

/// Where a seat's simplex runs.
struct Place {
    term: u64,
    begin: [u8; 32],
    partition: String,
    scheme: Scheme,
}

/// Enough of a key to tell seats apart.
fn short(key: &[u8; 32]) -> String {
    key.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[allow(clippy::large_enum_variant, reason = "one lives at a time, on the stack")]
enum Heard {
    Begun(Begun),
    Ahead(PublicKey),
    Time,
}
