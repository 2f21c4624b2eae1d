//! Four validators on a simulated network: losses, crashes, a lying member, and runs that repeat bit for bit.
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod recorder;

use std::{collections::BTreeMap, sync::Arc};

use consensus::{
    Application, EpochCertificate,
    simulation::{Outcome, Scenario, Settings, SimulationError, World, run},
};
use recorder::{EPOCH_BLOCKS, Recorder};

/// Applications that keep what they knew over crashes, or forget it, and a plan by heights.
struct Network {
    applications: Vec<Arc<Recorder>>,
    /// At a start, this one remembers nothing, as if its snapshot were from genesis.
    forgets: Option<usize>,
    liar: Option<usize>,
    plan: Plan,
    step: usize,
}

type Plan = fn(&mut Network, &mut World);

impl Network {
    fn new(plan: Plan) -> Self {
        let applications = (0..4).map(|_| Arc::new(Recorder::default())).collect();
        Self { applications, forgets: None, liar: None, plan, step: 0 }
    }

    fn height(&self, validator: usize) -> u64 {
        self.applications[validator].height()
    }

    fn all_certified(&self, epochs: u64) -> bool {
        self.applications.iter().all(|application| application.certified() >= epochs)
    }

    /// What must be equal on all validators, as far as each has got.
    fn assert_agreement(&self) -> (BTreeMap<u64, [u8; 32]>, BTreeMap<u64, EpochCertificate>) {
        let mut blocks = BTreeMap::new();
        let mut certificates = BTreeMap::new();
        for application in &self.applications {
            let record = application.record();
            for (height, digest) in &record.blocks {
                assert_eq!(blocks.entry(*height).or_insert(*digest), digest, "fork at height {height}");
            }
            for (epoch, certificate) in &record.certificates {
                let first = certificates.entry(*epoch).or_insert_with(|| certificate.clone());
                assert_eq!(first, certificate, "two certificates for epoch {epoch}");
            }
        }
        (blocks, certificates)
    }
}

impl Scenario for Network {
    fn application(&mut self, validator: usize) -> Arc<dyn Application> {
        let mut record = self.applications[validator].record().clone();
        if self.forgets == Some(validator) {
            record = recorder::Record::default();
        }
        let mut application = Recorder::from_snapshot(record);
        application.lies_about_roots = self.liar == Some(validator);
        self.applications[validator] = Arc::new(application);
        self.applications[validator].clone()
    }

    fn tick(&mut self, world: &mut World) {
        (self.plan)(self, world);
    }
}

fn settings(seed: u64, loss_percent: u8) -> Settings {
    let mut settings = Settings::devnet(seed, 4).unwrap();
    settings.link.loss_percent = loss_percent;
    settings
}

/// Loses one in twenty messages, crashes one validator, starts it again, then crashes all and starts all.
fn storm(network: &mut Network, world: &mut World) {
    match network.step {
        0 if network.height(0) >= 2 * EPOCH_BLOCKS => world.crash(3),
        1 if network.height(0) >= 4 * EPOCH_BLOCKS => world.start(3),
        2 if network.all_certified(5) => world.restart_all(),
        3 if network.all_certified(8) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

type Digest = (Outcome, BTreeMap<u64, [u8; 32]>, BTreeMap<u64, EpochCertificate>);

fn run_storm(seed: u64) -> Digest {
    let mut network = Network::new(storm);
    let outcome = run(&settings(seed, 5), &mut network).unwrap();
    assert!(
        outcome.finished,
        "stuck at step {} and heights {:?}",
        network.step,
        network.applications.iter().map(|a| a.height()).collect::<Vec<_>>()
    );
    let (blocks, certificates) = network.assert_agreement();
    (outcome, blocks, certificates)
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let first = run_storm(1);
    assert_eq!(first, run_storm(1));
    let other = run_storm(2);
    assert_ne!(first.0.state, other.0.state);
    assert_ne!(first.1, other.1);
}

#[test]
fn a_validator_that_was_down_gets_the_missed_blocks_and_certificates() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => world.crash(3),
            1 if network.height(0) >= 20 * EPOCH_BLOCKS => world.start(3),
            2 if network.all_certified(20) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(plan);
    let outcome = run(&settings(3, 0), &mut network).unwrap();
    assert!(outcome.finished, "heights {:?}", network.height(3));
    network.assert_agreement();
    assert_eq!(
        network.applications[3].record().certificates.keys().copied().take(20).collect::<Vec<_>>(),
        (1..=20).collect::<Vec<_>>()
    );
}

#[test]
fn a_traitor_of_four_is_caught_with_evidence_and_cannot_make_a_fork_or_a_halt() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => world.betray(2),
            1 if [0, 1, 3].iter().all(|honest| network.height(*honest) >= 8 * EPOCH_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    for seed in 30..33 {
        let mut network = Network::new(plan);
        let settings = settings(seed, 3);
        let outcome = run(&settings, &mut network).unwrap();
        assert!(outcome.finished, "seed {seed}: heights {:?}", [0, 1, 3].map(|honest| network.height(honest)));
        network.assert_agreement();
        let reports: Vec<_> =
            [0, 1, 3].iter().flat_map(|at| network.applications[*at].record().misbehaviour.clone()).collect();
        assert!(!reports.is_empty(), "seed {seed}: nobody noticed");
        for (culprit, bytes) in reports {
            assert_eq!(culprit, consensus::public_key(&settings.keys[2].signing_key).unwrap(), "seed {seed}");
            let validators: Vec<[u8; 32]> = settings.chain.seats.iter().map(|seat| seat.key).collect();
            let proven = consensus::evidence(settings.chain.chain_id, &validators, &bytes);
            assert_eq!(proven.unwrap(), culprit, "seed {seed}");
        }
    }
}

#[test]
fn an_application_that_forgot_everything_is_given_all_blocks_again() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.all_certified(4) => {
                network.forgets = Some(1);
                world.crash(1);
                world.start(1);
            }
            1 if network.all_certified(6) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(plan);
    assert!(run(&settings(4, 0), &mut network).unwrap().finished);
    let (blocks, _) = network.assert_agreement();
    let record = network.applications[1].record();
    assert!(record.blocks.keys().copied().eq(1..=record.height), "delivery has a gap");
    assert_eq!(record.certificates.len(), record.certificates.range(1..).count());
    assert!(record.certificates.contains_key(&1), "certificates of old epochs are reported again");
    assert_eq!(blocks.get(&1), record.blocks.get(&1));
}

#[test]
fn a_member_that_signs_other_roots_stops_nothing() {
    fn plan(network: &mut Network, world: &mut World) {
        let honest = network.applications[..3].iter().all(|application| application.certified() >= 5);
        if honest {
            world.finish();
        }
    }
    let mut network = Network::new(plan);
    network.liar = Some(3);
    assert!(run(&settings(5, 0), &mut network).unwrap().finished);
    network.assert_agreement();
    assert_eq!(network.applications[3].certified(), 0);
}

#[test]
fn without_two_thirds_nothing_is_finalized_and_with_them_it_goes_on() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 10 => (0..2)
                .flat_map(|one| (2..4).map(move |other| (one, other)))
                .for_each(|(one, other)| world.cut(one, other)),
            // Whatever was under way has settled; from here on the heights must stand still.
            1..=100 => {}
            101 => network.applications[0].record().pending = network.height(0).to_be_bytes().map(|b| vec![b]).to_vec(),
            102..=200 => {}
            201 => (0..2)
                .flat_map(|one| (2..4).map(move |other| (one, other)))
                .for_each(|(one, other)| world.mend(one, other)),
            202 if network.applications.iter().all(|application| application.height() >= 30) => world.finish(),
            _ => return,
        }
        network.step += 1;
        if (102..=201).contains(&network.step) {
            assert!(network.applications.iter().all(|application| application.height() < 20), "two of four went on");
        }
    }
    let mut network = Network::new(plan);
    assert!(run(&settings(6, 0), &mut network).unwrap().finished);
    network.assert_agreement();
}

#[test]
fn a_block_that_the_applications_refuse_is_never_finalized() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            // Only this validator has it pending, so only its own proposals hold it.
            0 if network.height(0) >= 3 => network.applications[3].record().pending.push(b"invalid".to_vec()),
            1 if network.height(0) >= 30 => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(plan);
    assert!(run(&settings(7, 0), &mut network).unwrap().finished);
    network.assert_agreement();
    for application in &network.applications {
        assert_eq!(application.record().transactions, Vec::<Vec<u8>>::new());
    }
    assert_eq!(network.applications[3].record().pending, vec![b"invalid".to_vec()]);
}

#[test]
fn an_idle_network_keeps_to_its_pace() {
    fn plan(network: &mut Network, world: &mut World) {
        if world.now_ms() >= 20_000 {
            world.finish();
        }
        assert!(network.height(0) <= world.now_ms() / 200 + 1, "more blocks than the idle time allows");
    }
    let mut network = Network::new(plan);
    assert!(run(&settings(8, 0), &mut network).unwrap().finished);
    assert!(network.height(0) >= 75, "20 s at 200 ms and some travel: {}", network.height(0));
}

#[test]
fn the_time_limit_ends_a_run_that_does_not_finish() {
    let mut settings = settings(9, 0);
    settings.limit_ms = 2_000;
    let outcome = run(&settings, &mut Network::new(|_, _| {})).unwrap();
    assert!(!outcome.finished);
    let last_tick_ms = 2_000 + 2 * settings.tick_ms;
    assert!((2_000..last_tick_ms).contains(&outcome.now_ms), "{}", outcome.now_ms);
}

#[test]
fn an_order_for_nobody_is_refused() {
    let mut network = Network::new(|_, world| world.crash(4));
    assert!(matches!(run(&settings(10, 0), &mut network), Err(SimulationError::NoValidator(4))));
    let mut strangers = settings(10, 0);
    strangers.keys[0].signing_key = [99; 32];
    assert!(matches!(run(&strangers, &mut network), Err(SimulationError::Member(_))));
}
