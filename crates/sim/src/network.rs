//! The run itself: who acts at each tick of the simulated clock, what breaks, and when it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use consensus::{
    Application, CommitteeError,
    simulation::{self, World},
};
use engine::LoadError;
use ledger::{GenesisError, Ledger, RestoreError, Snapshot};
use protocol::Trust;
use storage::SimulatedStore;
use thiserror::Error;
use validator::Node;

use crate::{
    actors::{Auditor, Backer, Gateway, Validators, Voter, Wallets, Worker},
    cables::Cables,
    draw::below,
    outcome::{Outcome, Promise, Pulse},
    scenario::{Fault, Scenario},
    seats, status,
};

/// Closed epochs between two snapshots of a validator.
const SNAPSHOT_EVERY: u64 = 4;

/// Why a run could not be held.
#[derive(Debug, Error)]
pub enum SimulationError {
    #[error("failed to load the model: {0}")]
    Model(#[from] LoadError),
    #[error("failed to seat the committee: {0}")]
    Committee(#[from] CommitteeError),
    #[error("failed to make the genesis: {0}")]
    Genesis(#[from] GenesisError),
    #[error("failed to restore a validator's snapshot: {0}")]
    Snapshot(#[from] RestoreError),
    #[error("failed to run the validators: {0}")]
    Validators(#[from] simulation::SimulationError),
}

/// Runs a scenario to its end, or to its time limit.
pub fn run(scenario: &Scenario) -> Result<Outcome, SimulationError> {
    let model = engine::Model::load(scenario.artefact.to_vec())?;
    let genesis = seats::genesis(scenario, model.root());
    let (settings, trust) = seats::committee(scenario, &genesis)?;
    let mut network = Network::new(scenario, &model, Ledger::new(&genesis)?);
    let ended = simulation::run(&settings, &mut network)?;
    match network.failure.take() {
        Some(failure) => Err(failure.into()),
        None => Ok(network.outcome(ended, trust)),
    }
}

struct Network<'a> {
    scenario: &'a Scenario,
    model: &'a engine::Model,
    genesis: Ledger,
    /// `None` where a validator is down.
    nodes: Vec<Option<Arc<Node>>>,
    voters: Vec<Voter>,
    /// The newest of each validator, and whether it starts from it.
    snapshots: Vec<Option<Snapshot>>,
    resumes: Vec<bool>,
    /// What each acknowledged of wallets' transactions, as its file would have it. The real one has a thread of its own, which no seed rules.
    disks: Vec<SimulatedStore>,
    workers: Vec<Worker>,
    gateway: Gateway,
    wallets: Wallets,
    backer: Backer,
    auditors: Vec<Auditor>,
    /// Faults to come, in order of time.
    faults: Vec<(u64, Fault)>,
    /// Seats in which traitors are.
    traitors: BTreeSet<usize>,
    cables: Cables,
    promises: Vec<Promise>,
    outbox_at_restart: Vec<usize>,
    pulses: Vec<Pulse>,
    request_at_ms: u64,
    status_at_ms: u64,
    failure: Option<RestoreError>,
}

impl<'a> Network<'a> {
    fn new(scenario: &'a Scenario, model: &'a engine::Model, genesis: Ledger) -> Self {
        let workers = scenario.workers.iter().enumerate();
        let auditors = scenario.auditors.iter().enumerate();
        let mut faults = scenario.faults.clone();
        // Stable: what breaks at the same time breaks in the order in which it was written.
        faults.sort_by_key(|(at_ms, _)| *at_ms);
        Self {
            scenario,
            model,
            genesis,
            nodes: vec![None; scenario.validators],
            voters: (0..scenario.validators).map(|index| Voter::new(scenario.false_voter == Some(index))).collect(),
            snapshots: vec![None; scenario.validators],
            resumes: vec![false; scenario.validators],
            disks: (0..scenario.validators).map(|_| SimulatedStore::default()).collect(),
            workers: workers.map(|(index, adversary)| Worker::new(index, scenario.seed, *adversary)).collect(),
            gateway: Gateway::new(scenario.seed),
            wallets: Wallets::new(scenario.seed, scenario.wallet_rounds, scenario.validators),
            backer: Backer::new(),
            auditors: auditors.map(|(index, auditing)| Auditor::new(index, *auditing)).collect(),
            faults,
            traitors: BTreeSet::new(),
            cables: Cables::new(scenario.validators),
            promises: Vec::new(),
            outbox_at_restart: Vec::new(),
            pulses: Vec::new(),
            request_at_ms: 0,
            status_at_ms: 0,
            failure: None,
        }
    }

    fn crash(&mut self, validator: usize, world: &mut World) {
        world.crash(validator);
        self.nodes.get_mut(validator).into_iter().for_each(|node| *node = None);
        self.voters.get_mut(validator).into_iter().for_each(Voter::crash);
        self.lose_unwritten(validator);
    }

    /// Ends the life of a validator's disk: of what was on its way to it some is written, in order, and nobody is told.
    fn lose_unwritten(&self, validator: usize) {
        let Some(disk) = self.disks.get(validator) else { return };
        // Each tick is one pulse.
        let drawn = below(self.scenario.seed, "written", self.pulses.len() as u64, disk.under_way() as u64 + 1);
        disk.crash(usize::try_from(drawn).unwrap_or(0));
    }

    /// What was handed to the disks at the last tick is written, where nothing crashed since.
    fn write_disks(&self) {
        let up = self.disks.iter().zip(&self.nodes).filter(|(_, node)| node.is_some());
        up.for_each(|(disk, _)| disk.write());
    }

    /// Breaks and mends what is due.
    fn suffer(&mut self, world: &mut World) {
        while self.faults.first().is_some_and(|(at_ms, _)| *at_ms <= world.now_ms()) {
            let (_, fault) = self.faults.remove(0);
            match fault {
                Fault::Crash(validator) => self.crash(validator, world),
                Fault::Start(validator) => world.start(validator),
                Fault::Resume(validator) => {
                    self.resumes.get_mut(validator).into_iter().for_each(|resumes| *resumes = true);
                    world.start(validator);
                }
                Fault::Betray(validator) => {
                    self.crash(validator, world);
                    self.wallets.betrayed(validator);
                    self.traitors.insert(validator);
                    world.betray(validator);
                }
                Fault::Cut(validator) => self.cables.split(&[validator], world),
                Fault::Split(one, other) => self.cables.split(&[one, other], world),
                Fault::Slow(validator, latency_ms) => self.cables.slow(validator, latency_ms, world),
                Fault::Mend(validator) => self.cables.mend(validator, world),
                Fault::RestartAll => {
                    // A new life begins with all cables in.
                    self.cables = Cables::new(self.nodes.len());
                    (0..self.nodes.len()).for_each(|validator| self.crash(validator, world));
                    // Ends this life of the network: what is ordered after it would be lost.
                    return world.restart_all();
                }
                Fault::CrashGateway(burst) => {
                    (0..burst).for_each(|_| self.request(world.now_ms()));
                    self.gateway.crash();
                }
                Fault::Back(validator) => self.backer.back(validator),
                Fault::StartGateway => {
                    self.outbox_at_restart.push(self.gateway.waiting());
                    self.gateway.start();
                }
            }
        }
    }

    fn request(&mut self, now_ms: u64) {
        if self.gateway.issued() >= self.scenario.requests {
            return;
        }
        if let Some(answered) = self.gateway.request(self.model, &mut self.workers, now_ms) {
            let id = answered.receipt.receipt.id();
            let (worker, receipt, opening) = (answered.worker, answered.receipt, answered.opening);
            self.promises.push(Promise { worker, id, receipt, opening, promised_at_ms: now_ms });
        }
    }

    /// Everyone does what is to be done.
    fn act(&mut self, now_ms: u64) {
        if self.gateway.is_up() && self.request_at_ms <= now_ms {
            self.request(now_ms);
            self.request_at_ms = now_ms.saturating_add(self.scenario.request_ms);
        }
        let validators = Validators::new(&self.nodes, now_ms);
        self.wallets.work(&validators);
        self.gateway.post(&validators);
        self.backer.work(&validators);
        self.workers.iter_mut().for_each(|worker| worker.respond(&validators));
        self.auditors.iter_mut().for_each(|auditor| auditor.work(&validators, &self.workers, self.model));
        for (voter, node) in self.voters.iter_mut().zip(&self.nodes) {
            node.iter().for_each(|node| voter.work(node, self.model, now_ms));
        }
    }

    /// Keeps each validator's ledger now and then, as its disk would.
    fn keep_snapshots(&mut self) {
        for (kept, node) in self.snapshots.iter_mut().zip(&self.nodes) {
            let Some(node) = node else { continue };
            let ledger = node.ledger();
            if ledger.open_epoch().is_multiple_of(SNAPSHOT_EVERY) {
                *kept = ledger.snapshot().or_else(|| kept.take());
            }
        }
    }

    fn watch(&mut self, now_ms: u64) {
        let heights = self.nodes.iter().map(|node| Some(node.as_ref()?.ledger().height())).collect();
        self.pulses.push(Pulse { now_ms, heights });
        let Some(watched) = self.scenario.status.filter(|_| self.status_at_ms <= now_ms) else { return };
        self.status_at_ms = now_ms.saturating_add(watched.every_ms);
        let nodes = self.nodes.iter().enumerate();
        nodes.for_each(|(index, node)| (watched.print)(&status::validator(now_ms, index, node.as_deref())));
        if let Some(node) = self.nodes.iter().flatten().next() {
            let workers = self.workers.iter().enumerate();
            workers.for_each(|(index, worker)| (watched.print)(&status::worker(now_ms, index, worker, node)));
        }
        (watched.print)(&status::gateway(now_ms, &self.gateway));
    }

    /// True once nothing more is owed: every fault has passed, every receipt is anchored or was refused, every transfer is executed, every
    /// window is closed and every validator has the certificates that say so.
    fn is_over(&self) -> bool {
        let served = self.gateway.issued() >= self.scenario.requests && self.gateway.waiting() == 0;
        let up: Vec<&Arc<Node>> = self.nodes.iter().flatten().collect();
        let is_whole = up.len() + self.traitors.len() >= self.scenario.validators;
        if !self.faults.is_empty() || !self.gateway.is_up() || !served || !is_whole {
            return false;
        }
        let least = self.scenario.terms.map_or(0, |terms| terms.least.saturating_mul(terms.blocks.into()));
        if up.iter().any(|node| node.ledger().height() < least) {
            return false;
        }
        if !up.iter().all(|node| self.wallets.are_done(&node.ledger())) {
            return false;
        }
        let end = up.iter().map(|node| self.last_challenge_epoch(&node.ledger())).max().unwrap_or(0);
        up.iter().all(|node| {
            let decided = node.ledger().challenges().next().is_none();
            decided && (0..=end).rev().all(|epoch| node.certificate(epoch).is_some())
        })
    }

    fn last_challenge_epoch(&self, ledger: &Ledger) -> u64 {
        let anchored = self.promises.iter().filter_map(|promise| Some(ledger.status(&promise.id)?.epoch)).max();
        anchored.unwrap_or(0).saturating_add(u64::from(ledger.rules().challenge_window))
    }

    fn outcome(self, ended: simulation::Outcome, trust: Trust) -> Outcome {
        let up: Vec<&Arc<Node>> = self.nodes.iter().flatten().collect();
        let certificates = |node: &&Arc<Node>| {
            let epochs = 0..node.ledger().open_epoch();
            epochs.filter_map(|epoch| Some((epoch, node.certificate(epoch)?))).collect::<BTreeMap<_, _>>()
        };
        Outcome {
            seed: self.scenario.seed,
            finished: ended.finished,
            now_ms: ended.now_ms,
            runtime: ended.state,
            trust,
            certificates: up.iter().map(certificates).collect(),
            ledgers: up.iter().map(|node| node.ledger().clone()).collect(),
            misbehaviours: up.iter().map(|node| node.misbehaviours()).collect(),
            promises: self.promises,
            transfers: self.wallets.transfers(),
            set_aside: self.gateway.set_aside().to_vec(),
            outbox_at_restart: self.outbox_at_restart,
            pulses: self.pulses,
        }
    }
}

impl simulation::Scenario for Network<'_> {
    fn application(&mut self, validator: usize) -> Arc<dyn Application> {
        let resumes = self.resumes.get_mut(validator).is_some_and(std::mem::take);
        let snapshot = self.snapshots.get(validator).and_then(Option::as_ref).filter(|_| resumes);
        let restored = |kept: &Snapshot| Ledger::restore(kept.bytes(), kept.world().clone(), kept.kept().clone());
        let ledger = match snapshot.map(restored) {
            Some(Ok(ledger)) => ledger,
            Some(Err(error)) => {
                self.failure = Some(error);
                self.genesis.clone()
            }
            None => self.genesis.clone(),
        };
        // One that is up is ended by its start.
        self.lose_unwritten(validator);
        let disk = self.disks.get(validator).cloned().unwrap_or_default();
        let node = match Node::resume(ledger, seats::validator(validator), disk) {
            Ok(node) => Arc::new(node),
            // Only an index on disk could be unreadable, and none is kept here.
            Err(error) => std::panic::panic_any(error.to_string()),
        };
        self.nodes.get_mut(validator).into_iter().for_each(|place| *place = Some(Arc::clone(&node)));
        node
    }

    fn tick(&mut self, world: &mut World) {
        let now_ms = world.now_ms();
        self.suffer(world);
        self.write_disks();
        self.act(now_ms);
        self.keep_snapshots();
        self.watch(now_ms);
        if self.failure.is_some() || self.is_over() {
            world.finish();
        }
    }
}
