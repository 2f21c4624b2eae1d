//! A simulated network of recorders whose committees change, and what must hold of every run of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use consensus::{
    Application, EpochCertificate, Keys, NextKey, Seat,
    simulation::{Outcome, Scenario, Settings, World, run},
    verify_epoch, verify_rotation,
};

use crate::recorder::{self, EPOCH_BLOCKS, Recorder, naming};

pub const TERM_BLOCKS: u64 = 20;
pub const CHAIN_ID: u64 = 31_337;

pub fn key(name: u8) -> [u8; 32] {
    consensus::public_key(&[name; 32]).unwrap()
}

/// Each with a seat of its own.
pub fn seats(names: &[u8]) -> Vec<Seat> {
    names.iter().map(|name| Seat::sole(key(*name))).collect()
}

/// Four that sit first, and others that run without a seat.
pub fn settings(seed: u64, nodes: u8, loss_percent: u8) -> Settings {
    let mut settings = Settings::devnet(seed, 4).unwrap();
    settings.chain.term_blocks = Some(TERM_BLOCKS);
    settings.keys.extend((5..=nodes).map(|name| Keys::sole([name; 32], None)));
    settings.link.loss_percent = loss_percent;
    settings
}

pub type Plan = fn(&mut Network, &mut World);

pub struct Network {
    pub applications: Vec<Arc<Recorder>>,
    /// Starts from what it knew here, if anything.
    pub snapshots: Vec<Option<recorder::Record>>,
    pub kept: recorder::Record,
    pub plan: Plan,
    pub step: usize,
    /// What was given to a validator and must be in every chain.
    pub acknowledged: Vec<Vec<u8>>,
    pub kill_at_ms: u64,
}

impl Network {
    pub fn new(nodes: usize, plan: Plan) -> Self {
        let applications = (0..nodes).map(|_| Arc::new(Recorder::default())).collect();
        let kept = recorder::Record::default();
        Self {
            applications,
            snapshots: vec![None; nodes],
            kept,
            plan,
            step: 0,
            acknowledged: Vec::new(),
            kill_at_ms: 0,
        }
    }

    pub fn height(&self, validator: usize) -> u64 {
        self.applications[validator].height()
    }

    /// Asks one of them to have a block hold who shall sit.
    pub fn name(&mut self, at: usize, seats: &[Seat]) {
        self.submit(at, naming(seats));
    }

    pub fn submit(&mut self, at: usize, transaction: Vec<u8>) {
        self.applications[at].submit(transaction.clone());
        self.acknowledged.push(transaction);
    }

    pub fn all_at(&self, validators: &[usize], height: u64) -> bool {
        validators.iter().all(|validator| self.height(*validator) >= height)
    }

    /// The network's keys, from the dealt one on, each signed for by the one before.
    pub fn keys(&self, settings: &Settings) -> Vec<[u8; 96]> {
        let longest = self.longest();
        let mut keys = vec![group_key(settings)];
        for NextKey { serial, key, signature } in &longest.record().keys {
            let before = keys.last().unwrap();
            assert_eq!(verify_rotation(CHAIN_ID, before, (*serial, key), signature), Ok(true), "key {serial}");
            keys.push(*key);
        }
        keys
    }

    fn longest(&self) -> &Arc<Recorder> {
        self.applications.iter().max_by_key(|application| application.height()).unwrap()
    }

    /// Which of the network's keys signed in each term in which an epoch was certified.
    pub fn signed(&self, settings: &Settings) -> BTreeMap<u64, u64> {
        let keys = self.keys(settings);
        let mut signed = BTreeMap::new();
        for certificate in self.applications.iter().flat_map(|application| application.record().certificates.clone()) {
            let EpochCertificate { epoch, digest, signature } = certificate.1;
            let holds = |key: &[u8; 96]| verify_epoch(CHAIN_ID, key, &digest, &signature) == Ok(true);
            let serial = keys.iter().position(holds).unwrap_or_else(|| panic!("epoch {epoch} is nobody's"));
            let term = (epoch * EPOCH_BLOCKS - 1) / TERM_BLOCKS;
            let serial = u64::try_from(serial).unwrap();
            assert_eq!(*signed.entry(term).or_insert(serial), serial, "two keys in term {term}");
        }
        assert!(signed.values().is_sorted(), "a key that is over signs again: {signed:?}");
        signed
    }

    /// Each says that a key is old after so many blocks.
    pub fn rotate_after(self, key_blocks: u64) -> Self {
        self.applications.iter().for_each(|application| application.record().key_blocks = key_blocks);
        self
    }

    /// One chain, one certificate an epoch, one key and one committee a term, and nothing lost.
    pub fn assert_agreement(&self, settings: &Settings) {
        let (mut blocks, mut seated, mut certified) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        self.signed(settings);
        for application in &self.applications {
            let record = application.record();
            for (height, digest) in &record.blocks {
                assert_eq!(blocks.entry(*height).or_insert(*digest), digest, "fork at height {height}");
            }
            for (height, seats) in &record.seated {
                assert_eq!((height - 1) % TERM_BLOCKS, 0);
                assert_eq!(seated.entry(*height).or_insert_with(|| seats.clone()), seats, "seats at {height}");
            }
            for certificate in record.certificates.values() {
                let first = certified.entry(certificate.epoch).or_insert_with(|| certificate.clone());
                assert_eq!(first, certificate);
            }
        }
        let held: BTreeSet<Vec<u8>> = self.longest().record().transactions.iter().cloned().collect();
        for transaction in &self.acknowledged {
            assert!(held.contains(transaction), "an acknowledged transaction is lost");
        }
    }

    /// Who sat in a term, as the names of those whose seats are their own.
    pub fn sat(&self, validator: usize, term: u64) -> Vec<u8> {
        let record = self.applications[validator].record().clone();
        let seats = record.seated.get(&(term * TERM_BLOCKS + 1)).cloned().unwrap_or_default();
        let mut names: Vec<u8> = (1..=9).filter(|name| seats.contains(&Seat::sole(key(*name)))).collect();
        names.sort_unstable();
        names
    }
}

/// The key that the devnet was dealt, as its certificates are checked with.
pub fn group_key(settings: &Settings) -> [u8; 96] {
    use rand::{SeedableRng, rngs::StdRng};
    let keys: Vec<[u8; 32]> = settings.chain.seats.iter().map(|seat| seat.key).collect();
    let dealing = consensus::deal(&mut StdRng::seed_from_u64(0), &keys).unwrap();
    assert_eq!(dealing.polynomial, settings.chain.polynomial);
    dealing.group_key
}

impl Scenario for Network {
    fn application(&mut self, validator: usize) -> Arc<dyn Application> {
        let kept = self.snapshots[validator].take();
        let record = kept.unwrap_or_else(|| self.applications[validator].record().clone());
        self.applications[validator] = Arc::new(Recorder::from_snapshot(record));
        self.applications[validator].clone()
    }

    fn tick(&mut self, world: &mut World) {
        (self.plan)(self, world);
    }
}

pub fn held(settings: &Settings, network: &mut Network) -> Outcome {
    let outcome = run(settings, network).unwrap();
    let heights: Vec<u64> = network.applications.iter().map(|application| application.height()).collect();
    assert!(outcome.finished, "seed {}: stuck at step {} and heights {heights:?}", settings.seed, network.step);
    network.assert_agreement(settings);
    outcome
}

/// Losses, a liar in the dealing, crashes at any time, a part that is cut off, and everybody at once; the committee changes all along.
/// One is killed in the term `begins`; it is over when `ends` terms are behind everybody.
pub fn storm(network: &mut Network, world: &mut World, begins: u64, ends: u64) {
    let everybody = [0, 1, 2, 3, 4, 5];
    match network.step {
        0 => {
            world.crash(3);
            world.misdeal(3);
            world.start(3);
        }
        1 if network.height(0) >= 2 => network.name(0, &seats(&[1, 2, 3, 4, 5])),
        2 if network.height(0) >= begins * TERM_BLOCKS + world.random() % TERM_BLOCKS => {
            network.kept = network.applications[4].record().clone();
            let victim = usize::try_from(world.random() % 3).unwrap();
            world.crash(victim);
            world.start(victim);
        }
        3 if network.height(0) >= (begins + 1) * TERM_BLOCKS + 3 => network.name(1, &seats(&[2, 3, 4, 5, 6])),
        4 if network.height(1) >= (begins + 1) * TERM_BLOCKS + 10 => {
            [0, 1, 2, 3, 4].into_iter().for_each(|at| world.cut(at, 5))
        }
        5 if network.height(1) >= (begins + 2) * TERM_BLOCKS + 5 => {
            [0, 1, 2, 3, 4].into_iter().for_each(|at| world.mend(at, 5))
        }
        6 if network.height(1) >= (begins + 2) * TERM_BLOCKS + 12 => {
            // This one's application is terms behind its agreement.
            network.snapshots[4] = Some(network.kept.clone());
            world.restart_all();
        }
        7 if network.height(1) >= (begins + 3) * TERM_BLOCKS => network.submit(2, b"late".to_vec()),
        8 if network.all_at(&everybody, ends * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}
