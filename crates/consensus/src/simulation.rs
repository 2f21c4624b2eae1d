//! The same validators on a simulated network, disk and clock: a seed gives the whole run.
//!
//! CPU work takes no simulated time, so latencies that come from computing mean nothing here. Nothing in the run reads
//! a real clock or the operating system's randomness; the [`Scenario`] must not either, nor iterate in hash order.

mod traitor;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::simulated::{self, Network, Oracle};
use commonware_runtime::{Clock, Handle as Task, Spawner, Supervisor, deterministic};
use commonware_utils::{NZUsize, Probability};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    Application, Chain, CommitteeError, Genesis, Keys, MemberError, Pacing, Seat, StoreError,
    beginning::Beginnings,
    conductor::Track,
    deal,
    engine::{self, Channels, QUOTAS, max_message_bytes},
    environment::now_ms,
    member::Member,
    public_key,
    roster::Roster,
    validator::quota,
};

/// The network between two validators, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub latency_ms: u64,
    /// Standard deviation of the latency.
    pub jitter_ms: u64,
    /// Messages lost, of a hundred.
    pub loss_percent: u8,
}

/// What a run is made of. Equal settings and an equal scenario give an equal run.
#[derive(Clone)]
pub struct Settings {
    pub seed: u64,
    pub chain: Chain,
    /// One entry per validator; the index is the validator's name in a [`World`].
    pub keys: Vec<Keys>,
    pub link: Link,
    /// Simulated time between two calls of [`Scenario::tick`].
    pub tick_ms: u64,
    /// The run ends after this much simulated time at the latest.
    pub limit_ms: u64,
}

impl Settings {
    /// A devnet with keys that depend on nothing but the number of validators.
    pub fn devnet(seed: u64, validators: u8) -> Result<Self, CommitteeError> {
        let signing_keys: Vec<[u8; 32]> = (1..=validators).map(|index| [index; 32]).collect();
        let keys: Vec<_> = signing_keys.iter().filter_map(public_key).collect();
        let dealing = deal(&mut StdRng::seed_from_u64(0), &keys)?;
        let chain = Chain {
            chain_id: 31_337,
            genesis: Genesis { digest: [0; 32], time_ms: 0 },
            seats: keys.into_iter().map(Seat::sole).collect(),
            polynomial: dealing.polynomial,
            pacing: Pacing::default(),
            term_blocks: None,
        };
        let own = signing_keys.into_iter().zip(dealing.shares);
        let keys = own.map(|(signing_key, share)| Keys::sole(signing_key, Some(share))).collect();
        let link = Link { latency_ms: 10, jitter_ms: 3, loss_percent: 0 };
        Ok(Self { seed, chain, keys, link, tick_ms: 50, limit_ms: 600_000 })
    }
}

/// What happens in a run. Both methods are called on the run's only thread.
pub trait Scenario {
    /// The application of a validator that is about to start, for the first time or again.
    fn application(&mut self, validator: usize) -> Arc<dyn Application>;

    /// Looks at its applications and says what shall happen.
    fn tick(&mut self, world: &mut World);
}

/// What a scenario sees and may do at one tick. What it orders happens in order, right after the tick.
pub struct World {
    now_ms: u64,
    random: u64,
    orders: Vec<Order>,
}

enum Order {
    Crash(usize),
    Start(usize),
    Join(usize, usize, u64, Vec<[u8; 96]>),
    Betray(usize),
    Misdeal(usize),
    Silence(usize),
    Wire(usize, usize, Wire),
    RestartAll,
    Finish,
}

/// What is between two validators, in both directions.
#[derive(Clone, Copy)]
enum Wire {
    Nothing,
    /// As the run's settings say.
    Usual,
    /// As usual, but with this latency in milliseconds.
    Slow(u64),
}

impl World {
    /// The simulated clock.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// A number from the run's own randomness, new at each tick.
    pub fn random(&self) -> u64 {
        self.random
    }

    /// Kills a validator: what it has not synced may be lost.
    pub fn crash(&mut self, validator: usize) {
        self.orders.push(Order::Crash(validator));
    }

    /// Starts a crashed validator on its disk.
    pub fn start(&mut self, validator: usize) {
        self.orders.push(Order::Start(validator));
    }

    /// Starts a validator on an empty disk, from what another one gives to those who hold the state after a height. It believes what
    /// these keys of the network signed; the first one if none is given.
    pub fn join(&mut self, validator: usize, from: usize, height: u64, network_keys: &[[u8; 96]]) {
        self.orders.push(Order::Join(validator, from, height, network_keys.to_vec()));
    }

    /// Puts a traitor in a validator's seat, for the rest of this life of the network: it signs votes that exclude each other.
    pub fn betray(&mut self, validator: usize) {
        self.orders.push(Order::Betray(validator));
    }

    /// From its next start on, what a validator deals to some is not what it deals to the others, and does not hold.
    pub fn misdeal(&mut self, validator: usize) {
        self.orders.push(Order::Misdeal(validator));
    }

    /// From its next start on, a validator votes and never proposes.
    pub fn silence(&mut self, validator: usize) {
        self.orders.push(Order::Silence(validator));
    }

    /// Cuts both directions between two validators.
    pub fn cut(&mut self, one: usize, other: usize) {
        self.orders.push(Order::Wire(one, other, Wire::Nothing));
    }

    /// Lets messages between two validators, in both directions, take this many milliseconds.
    pub fn slow(&mut self, one: usize, other: usize, latency_ms: u64) {
        self.orders.push(Order::Wire(one, other, Wire::Slow(latency_ms)));
    }

    /// Mends what was cut or slow.
    pub fn mend(&mut self, one: usize, other: usize) {
        self.orders.push(Order::Wire(one, other, Wire::Usual));
    }

    /// Kills all validators at once and starts all again on their disks.
    pub fn restart_all(&mut self) {
        self.orders.push(Order::RestartAll);
    }

    /// Ends the run.
    pub fn finish(&mut self) {
        self.orders.push(Order::Finish);
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The runtime's fingerprint of everything that happened, one per life of the network. Equal runs have equal ones.
    pub state: Vec<String>,
    /// Whether the scenario finished, rather than the time limit.
    pub finished: bool,
    pub now_ms: u64,
}

/// Why a run could not be held.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    #[error(transparent)]
    Member(#[from] MemberError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to simulate the network: {0}")]
    Network(String),
    #[error("failed to simulate: there is no validator {0}")]
    NoValidator(usize),
    #[error("failed to simulate: validator {0} gives no beginning")]
    NoBeginning(usize),
}

impl From<simulated::Error> for SimulationError {
    fn from(error: simulated::Error) -> Self {
        Self::Network(error.to_string())
    }
}

/// Runs validators from genesis until the scenario finishes or the time is over.
pub fn run(settings: &Settings, scenario: &mut dyn Scenario) -> Result<Outcome, SimulationError> {
    let members = read_members(settings)?;
    let mut runner = deterministic::Runner::new(deterministic::Config::new().with_seed(settings.seed));
    let mut state = Vec::new();
    loop {
        let (ended, checkpoint) = runner.start_and_recover(|context| live(context, settings, &members, &mut *scenario));
        let life = ended?;
        state.push(life.state);
        if life.end != End::RestartAll {
            return Ok(Outcome { state, finished: life.end == End::Finished, now_ms: life.now_ms });
        }
        runner = deterministic::Runner::from(checkpoint);
    }
}

fn read_members(settings: &Settings) -> Result<Vec<Member>, MemberError> {
    let read = |(index, keys)| {
        let mut member = Member::read(&settings.chain, keys)?;
        member.store_prefix = format!("validator-{index}-");
        Ok(member)
    };
    settings.keys.iter().enumerate().map(read).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    RestartAll,
    Finished,
    TimeOver,
}

struct Life {
    end: End,
    state: String,
    now_ms: u64,
}

/// One life of the whole network, from the start of all validators to the end of the run or of all of them.
async fn live(
    mut context: deterministic::Context,
    settings: &Settings,
    members: &[Member],
    scenario: &mut dyn Scenario,
) -> Result<Life, SimulationError> {
    let mut stage = Stage::new(&context, settings, members).await?;
    for validator in 0..members.len() {
        stage.start(&context, validator, scenario).await?;
    }
    let end = loop {
        context.sleep(Duration::from_millis(settings.tick_ms)).await;
        let mut world = World { now_ms: now_ms(&context), random: context.next_u64(), orders: Vec::new() };
        scenario.tick(&mut world);
        if let Some(end) = stage.follow(&context, world.orders, scenario).await? {
            break end;
        }
        if now_ms(&context) >= settings.limit_ms {
            break End::TimeOver;
        }
    };
    Ok(Life { end, state: context.auditor().state(), now_ms: now_ms(&context) })
}

/// The simulated network and who runs on it.
struct Stage<'a> {
    oracle: Oracle<PublicKey, deterministic::Context>,
    link: simulated::Link,
    members: &'a [Member],
    running: Vec<Option<Task<()>>>,
    /// What each knows of the terms: traitors know what all know.
    rosters: Rosters,
    liars: BTreeSet<usize>,
    silent: BTreeSet<usize>,
    /// Who is wired to whom, the greater first.
    wired: BTreeSet<(usize, usize)>,
    beginnings: Given,
    /// Who began late, and with what.
    late: BTreeMap<usize, Late>,
}

/// A beginning, and the network's keys under which it is believed.
type Late = (Vec<u8>, Vec<[u8; 96]>);

/// What validators that run give to those who begin late.
type Given = Arc<Mutex<BTreeMap<usize, Beginnings>>>;
type Rosters = Arc<Mutex<Vec<Option<Roster>>>>;

/// Everybody is connected to everybody from the start.
struct Connected;

impl Track for Connected {
    fn track(&mut self, _sitting: &[PublicKey]) {}
}

/// A false share for every second seat, and a false word about what was acknowledged.
fn tamper(to: &[u8; 32], mut bytes: Vec<u8>) -> Vec<u8> {
    if to[0].is_multiple_of(2)
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 1;
    }
    bytes
}

impl<'a> Stage<'a> {
    async fn new(
        context: &deterministic::Context,
        settings: &Settings,
        members: &'a [Member],
    ) -> Result<Self, SimulationError> {
        let config = simulated::Config {
            max_size: max_message_bytes(),
            max_peers_per_set: std::num::NonZeroUsize::new(members.len()).unwrap_or(std::num::NonZeroUsize::MIN),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let keys = members.iter().map(|member| member.me.clone());
        let (network, oracle) = Network::new_with_peers(context.child("network"), config, keys).await;
        network.start();
        let kept = 100u64.saturating_sub(u64::from(settings.link.loss_percent));
        let link = simulated::Link {
            latency: Duration::from_millis(settings.link.latency_ms),
            jitter: Duration::from_millis(settings.link.jitter_ms),
            success_rate: Probability::new(kept, 100).ok_or(SimulationError::Network("loss".to_owned()))?,
        };
        let running = members.iter().map(|_| None).collect();
        let rosters = Arc::new(Mutex::new(members.iter().map(|_| None).collect()));
        let (liars, silent, wired) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (beginnings, late) = (Given::default(), BTreeMap::new());
        let mut stage = Self { oracle, link, members, running, rosters, liars, silent, wired, beginnings, late };
        for one in 0..members.len() {
            for other in 0..one {
                stage.wire(one, other, Wire::Usual).await?;
            }
        }
        Ok(stage)
    }

    fn member(&self, validator: usize) -> Result<&'a Member, SimulationError> {
        self.members.get(validator).ok_or(SimulationError::NoValidator(validator))
    }

    /// Puts a wire in the place of what is between two. What is under way arrives.
    async fn wire(&mut self, one: usize, other: usize, wire: Wire) -> Result<(), SimulationError> {
        let pair = (one.max(other), one.min(other));
        let (one, other) = (&self.member(one)?.me, &self.member(other)?.me);
        let link = match wire {
            Wire::Nothing => None,
            Wire::Usual => Some(self.link.clone()),
            Wire::Slow(latency_ms) => {
                Some(simulated::Link { latency: Duration::from_millis(latency_ms), ..self.link.clone() })
            }
        };
        let was_wired = self.wired.remove(&pair);
        for (from, to) in [(one, other), (other, one)] {
            if was_wired {
                self.oracle.remove_link(from.clone(), to.clone()).await?;
            }
            if let Some(link) = &link {
                self.oracle.add_link(from.clone(), to.clone(), link.clone()).await?;
            }
        }
        if link.is_some() {
            self.wired.insert(pair);
        }
        Ok(())
    }

    /// Starts a validator as a child task, so that killing the task kills all of it.
    async fn start(
        &mut self,
        context: &deterministic::Context,
        validator: usize,
        scenario: &mut dyn Scenario,
    ) -> Result<(), SimulationError> {
        self.crash(validator).await?;
        let mut member = self.member(validator)?.clone();
        if let Some((beginning, network_keys)) = self.late.get(&validator) {
            member.follow(network_keys);
            member.begin_at(beginning)?;
            member.store_prefix.push_str("late-");
        }
        member.forget_terms()?;
        member.tamper = self.liars.contains(&validator).then_some(tamper);
        member.is_silent = self.silent.contains(&validator);
        if let Some(place) = self.rosters.lock().unwrap_or_else(PoisonError::into_inner).get_mut(validator) {
            *place = Some(member.roster.clone());
        }
        let control = self.oracle.control(member.me.clone());
        let [votes, certificates, resolver, blocks, backfill, epochs, shared, rounds, records, rotations] =
            QUOTAS.map(quota);
        let channels = Channels {
            votes: control.register(0, votes).await?,
            certificates: control.register(1, certificates).await?,
            resolver: control.register(2, resolver).await?,
            blocks: control.register(3, blocks).await?,
            backfill: control.register(4, backfill).await?,
            epochs: control.register(5, epochs).await?,
            shared: control.register(6, shared).await?,
            rounds: control.register(7, rounds).await?,
            records: control.register(8, records).await?,
            rotations: control.register(9, rotations).await?,
        };
        let peers = self.oracle.manager();
        let application = scenario.application(validator);
        let child = context.child("validator").with_attribute("index", validator);
        let given = Arc::clone(&self.beginnings);
        let task = child.spawn(move |context| async move {
            match engine::start(context, member, application, channels, peers, control, Connected).await {
                Ok(running) => {
                    given.lock().unwrap_or_else(PoisonError::into_inner).insert(validator, running.beginnings);
                    let _ = futures::future::select_all(running.tasks).await;
                    std::panic::panic_any("a part of a simulated validator ended");
                }
                Err(error) => std::panic::panic_any(error.to_string()),
            }
        });
        if let Some(place) = self.running.get_mut(validator) {
            *place = Some(task);
        }
        Ok(())
    }

    /// Starts a validator on an empty disk, if the other one gives it a beginning.
    async fn join(
        &mut self,
        context: &deterministic::Context,
        (validator, from, height, network_keys): (usize, usize, u64, Vec<[u8; 96]>),
        scenario: &mut dyn Scenario,
    ) -> Result<(), SimulationError> {
        let given = self.beginnings.lock().unwrap_or_else(PoisonError::into_inner).get(&from).cloned();
        let given = given.ok_or(SimulationError::NoBeginning(from))?;
        let beginning = given.after(height).await.ok_or(SimulationError::NoBeginning(from))?;
        self.late.insert(validator, (beginning, network_keys));
        self.start(context, validator, scenario).await
    }

    /// Ends the honest validator and seats a traitor with its key.
    async fn betray(&mut self, context: &deterministic::Context, validator: usize) -> Result<(), SimulationError> {
        self.crash(validator).await?;
        let member = self.member(validator)?.clone();
        let votes = self.oracle.control(member.me.clone()).register(0, quota(QUOTAS[0])).await?;
        let child = context.child("traitor").with_attribute("index", validator);
        let rosters = Arc::clone(&self.rosters);
        let task = child.spawn(move |_context| traitor::betray(member, rosters, votes));
        if let Some(place) = self.running.get_mut(validator) {
            *place = Some(task);
        }
        Ok(())
    }

    async fn crash(&mut self, validator: usize) -> Result<(), SimulationError> {
        let place = self.running.get_mut(validator).ok_or(SimulationError::NoValidator(validator))?;
        if let Some(task) = place.take() {
            task.abort();
            // Ends with an error, because it was aborted.
            let _ = task.await;
        }
        Ok(())
    }

    async fn follow(
        &mut self,
        context: &deterministic::Context,
        orders: Vec<Order>,
        scenario: &mut dyn Scenario,
    ) -> Result<Option<End>, SimulationError> {
        for order in orders {
            match order {
                Order::Crash(validator) => self.crash(validator).await?,
                Order::Start(validator) => self.start(context, validator, scenario).await?,
                Order::Join(validator, from, height, network_keys) => {
                    self.join(context, (validator, from, height, network_keys), scenario).await?;
                }
                Order::Betray(validator) => self.betray(context, validator).await?,
                Order::Misdeal(validator) => {
                    self.member(validator)?;
                    self.liars.insert(validator);
                }
                Order::Silence(validator) => {
                    self.member(validator)?;
                    self.silent.insert(validator);
                }
                Order::Wire(one, other, wire) => self.wire(one, other, wire).await?,
                Order::RestartAll => return Ok(Some(End::RestartAll)),
                Order::Finish => return Ok(Some(End::Finished)),
            }
        }
        Ok(None)
    }
}
