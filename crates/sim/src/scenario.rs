//! What happens in a run: who takes part, who lies, what breaks and when.

use std::sync::Arc;

use worker::Adversary;

use crate::draw::below;

/// Validators of every run but a season.
pub const VALIDATORS: usize = 4;
/// Validators of a season, one more than it has seats.
const SEASON_VALIDATORS: usize = 5;
/// Small, so that a run is about the network and not about the model.
const SCORER: &[u8] = include_bytes!("../../../models/risk/risk-integer.ogm");

/// A run, before it is run. Equal scenarios give equal outcomes.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub validators: usize,
    /// Whether committees and keys change; if not, the first are for ever.
    pub terms: Option<Terms>,
    /// Which dealing of the network key; another one is another network under the same genesis.
    pub dealing: u64,
    /// Messages lost between validators, of a hundred.
    pub loss_percent: u8,
    /// The model that workers serve; its kind decides what the gateway asks.
    pub artefact: Arc<[u8]>,
    /// One entry a worker: how it misbehaves, if it does.
    pub workers: Vec<Option<Adversary>>,
    /// Requests that the gateway hands to workers in turn, all told.
    pub requests: u64,
    /// Simulated time between two requests.
    pub request_ms: u64,
    /// Rounds of three transfers that wallets send.
    pub wallet_rounds: u64,
    pub auditors: Vec<Auditing>,
    /// A validator that votes against the truth.
    pub false_voter: Option<usize>,
    /// What breaks, and at which simulated time.
    pub faults: Vec<(u64, Fault)>,
    /// A run that has not come to its end by then is given up.
    pub limit_ms: u64,
    pub status: Option<Status>,
}

/// Committees and keys that change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Blocks of a term of agreement.
    pub blocks: u32,
    /// Seats of every committee but the first, in which each validator has one.
    pub seats: u32,
    /// Terms of the ledger after which a key of the network is old.
    pub key_terms: u32,
    /// For so many terms a run goes on at least.
    pub least: u64,
}

/// How an auditor goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auditing {
    Honest,
    /// Challenges a receipt that it found to be true.
    ChallengesTheTruth,
    /// Says of a receipt that its worker does not open it, and never asked.
    AsksInVain,
}

/// Something that breaks or is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A validator dies: its pool and its ledger are gone, its disk stays as far as it was written.
    Crash(usize),
    /// It starts again on its disk, its ledger from genesis.
    Start(usize),
    /// It starts again on its disk, its ledger from the newest snapshot.
    Resume(usize),
    /// No message passes between one validator and the others.
    Cut(usize),
    /// Two validators hear each other, and nobody else hears them.
    Split(usize, usize),
    /// Messages from and to a validator take this many milliseconds.
    Slow(usize, u64),
    /// It hears the others as usual, and they it.
    Mend(usize),
    /// A traitor takes the validator's seat for good: it signs votes that exclude each other. One of four at most.
    Betray(usize),
    /// All validators die at once and start again.
    RestartAll,
    /// The gateway takes this many requests at once and dies with their receipts in its outbox.
    CrashGateway(u64),
    StartGateway,
    /// Somebody puts stake behind a validator, so that it takes another's seat.
    Back(usize),
}

/// Lines that tell how a run goes, for whoever watches it.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    pub every_ms: u64,
    pub print: fn(&str),
}

impl Scenario {
    /// Two honest workers, one that lies, one auditor, and nothing that breaks.
    pub fn calm(seed: u64) -> Self {
        Self {
            seed,
            validators: VALIDATORS,
            terms: None,
            dealing: 0,
            loss_percent: 0,
            artefact: SCORER.into(),
            workers: vec![None, None, Some(Adversary::WrongOutput)],
            requests: 12,
            request_ms: 150,
            wallet_rounds: 3,
            auditors: vec![Auditing::Honest],
            false_voter: None,
            faults: Vec::new(),
            limit_ms: 120_000,
            status: None,
        }
    }

    /// The same with one in twenty messages lost, a validator that crashes and starts again, one or two that are cut off or slow, and a
    /// gateway that restarts with a full outbox; who, when and for how long is the seed's to say.
    pub fn storm(seed: u64) -> Self {
        let between = |what, low: u64, high: u64| low + below(seed, what, 0, high - low);
        let victim = usize::try_from(between("victim", 0, VALIDATORS as u64)).unwrap_or(0);
        let crashed = between("crash", 500, 3_000);
        let again = if between("snapshot", 0, 2) == 0 { Fault::Start(victim) } else { Fault::Resume(victim) };
        let gateway_crashed = between("gateway", 300, 1_400);
        let mut faults = vec![
            (crashed, Fault::Crash(victim)),
            (crashed + between("down", 300, 2_500), again),
            (gateway_crashed, Fault::CrashGateway(between("burst", 2, 5))),
            (gateway_crashed + between("gateway down", 100, 1_500), Fault::StartGateway),
        ];
        let cut = another(victim, between("cut", 0, VALIDATORS as u64 - 1), VALIDATORS);
        faults.extend(broken(seed, 0, PARTITIONS, between("cut at", 500, 3_500), (cut, VALIDATORS)));
        Self { loss_percent: 5, faults, ..Self::calm(seed) }
    }

    /// Everything at once: four faults in a row of any kind, up to eight in a hundred messages lost, and liars among
    /// workers, auditors and validators.
    pub fn tempest(seed: u64) -> Self {
        let drawn = |what, index, bound| below(seed, what, index, bound);
        let mut faults = Vec::new();
        for index in 0..4 {
            let at_ms = 400 + 700 * index + drawn("at", index, 600);
            let victim = usize::try_from(drawn("victim", index, VALIDATORS as u64)).unwrap_or(0);
            faults.extend(broken(seed, index, ALL, at_ms, (victim, VALIDATORS)));
        }
        let lie = [Adversary::WrongOutput, Adversary::Withhold][usize::from(drawn("lie", 0, 2) == 0)];
        let auditing = [Auditing::ChallengesTheTruth, Auditing::AsksInVain][usize::from(drawn("auditing", 0, 2) == 0)];
        let false_voter = usize::try_from(drawn("voter", 0, 2 * VALIDATORS as u64)).ok();
        Self {
            loss_percent: u8::try_from(drawn("loss", 0, 9)).unwrap_or(0),
            faults,
            workers: vec![None, Some(lie), None],
            auditors: vec![Auditing::Honest, auditing],
            // Half of all tempests have none.
            false_voter: false_voter.filter(|voter| *voter < VALIDATORS),
            ..Self::calm(seed)
        }
    }

    /// A validator turns traitor while messages are lost, another fault befalls another one, the gateway restarts with a full outbox and a
    /// worker lies.
    pub fn treason(seed: u64) -> Self {
        let drawn = |what, bound| below(seed, what, 0, bound);
        let traitor = usize::try_from(drawn("traitor", VALIDATORS as u64)).unwrap_or(0);
        let gateway_crashed = 300 + drawn("gateway", 1_100);
        let mut faults = vec![
            (500 + drawn("betray", 2_500), Fault::Betray(traitor)),
            (gateway_crashed, Fault::CrashGateway(3)),
            (gateway_crashed + 100 + drawn("gateway down", 1_400), Fault::StartGateway),
        ];
        let victim = another(traitor, drawn("victim", VALIDATORS as u64 - 1), VALIDATORS);
        faults.extend(broken(seed, 0, WITH_TRAITOR, 500 + drawn("at", 3_000), (victim, VALIDATORS)));
        Self { loss_percent: u8::try_from(drawn("loss", 6)).unwrap_or(0), faults, ..Self::calm(seed) }
    }

    /// Five validators for four seats: who sits changes with the stake behind them, and the network's key with the terms, while one thing
    /// after the other breaks. In half of all seasons a validator turns traitor.
    pub fn season(seed: u64) -> Self {
        let drawn = |what, index, bound| below(seed, what, index, bound);
        let count = SEASON_VALIDATORS as u64;
        let one_of = |what, index| usize::try_from(drawn(what, index, count)).unwrap_or(0);
        let traitor = Some(one_of("traitor", 0)).filter(|_| drawn("treason", 0, 2) == 0);
        let mut faults: Vec<(u64, Fault)> =
            traitor.map(|traitor| (2_000 + drawn("betray", 0, 6_000), Fault::Betray(traitor))).into_iter().collect();
        let kinds = if traitor.is_some() { WITH_TRAITOR } else { ALL };
        for index in 0..6 {
            // A traitor is that for good.
            let victim = Some(one_of("victim", index)).filter(|victim| Some(*victim) != traitor);
            let victim = victim.unwrap_or_else(|| (one_of("victim", index) + 1) % SEASON_VALIDATORS);
            let at_ms = 600 + 1_600 * index + drawn("at", index, 1_400);
            faults.extend(broken(seed, index, kinds, at_ms, (victim, SEASON_VALIDATORS)));
        }
        faults.extend((0..2).map(|index| (1_000 + 4_000 * index, Fault::Back(one_of("backed", index)))));
        Self {
            validators: SEASON_VALIDATORS,
            terms: Some(Terms { blocks: 30, seats: 4, key_terms: 2, least: 11 }),
            loss_percent: u8::try_from(drawn("loss", 0, 6)).unwrap_or(0),
            faults,
            wallet_rounds: 10,
            limit_ms: 240_000,
            ..Self::calm(seed)
        }
    }
}

/// The kinds of faults that befall a validator, and the gateway.
#[derive(Clone, Copy)]
enum Kind {
    Start,
    Resume,
    Cut,
    Split,
    Slow,
    Gateway,
    RestartAll,
}

const PARTITIONS: &[Kind] = &[Kind::Cut, Kind::Split, Kind::Slow];
/// A traitor takes its seat for one life of the network only.
const WITH_TRAITOR: &[Kind] = &[Kind::Start, Kind::Resume, Kind::Cut, Kind::Split, Kind::Slow, Kind::Gateway];
const ALL: &[Kind] = &[Kind::Start, Kind::Resume, Kind::Cut, Kind::Split, Kind::Slow, Kind::Gateway, Kind::RestartAll];

/// More than what a leader has before the others move on: what is proposed and voted so late comes too late.
const LATE_MS: u64 = 1_000;
/// What is late is so for some views.
const LATE_FOR_MS: u64 = 1_500;

/// Fault number `index`, of one of these kinds, which befalls a validator of so many or it and a second one; and what mends it, often only
/// after the next one broke too.
fn broken(
    seed: u64,
    index: u64,
    kinds: &[Kind],
    at_ms: u64,
    (victim, validators): (usize, usize),
) -> Vec<(u64, Fault)> {
    let drawn = |what, bound| below(seed, what, index, bound);
    let kind = usize::try_from(drawn("fault", kinds.len() as u64)).ok().and_then(|place| kinds.get(place));
    let second = another(victim, drawn("second", validators as u64 - 1), validators);
    let for_ms = 200 + drawn("for", 2_000);
    let (fault, mends, for_ms) = match kind.unwrap_or(&Kind::Cut) {
        Kind::Start => (Fault::Crash(victim), vec![Fault::Start(victim)], for_ms),
        Kind::Resume => (Fault::Crash(victim), vec![Fault::Resume(victim)], for_ms),
        Kind::Cut => (Fault::Cut(victim), vec![Fault::Mend(victim)], for_ms),
        Kind::Split => (Fault::Split(victim, second), vec![Fault::Mend(victim), Fault::Mend(second)], for_ms),
        Kind::Slow => {
            let late_ms = LATE_MS + drawn("late", 1_000);
            (Fault::Slow(victim, late_ms), vec![Fault::Mend(victim)], for_ms + LATE_FOR_MS)
        }
        Kind::Gateway => (Fault::CrashGateway(3), vec![Fault::StartGateway], for_ms),
        Kind::RestartAll => (Fault::RestartAll, Vec::new(), 0),
    };
    let mended = mends.into_iter().map(|mend| (at_ms + for_ms, mend));
    [(at_ms, fault)].into_iter().chain(mended).collect()
}

/// A validator that is not this one; `drawn` is below the number of the others.
fn another(one: usize, drawn: u64, validators: usize) -> usize {
    let after = usize::try_from(drawn).unwrap_or(0) + 1;
    (one + after).checked_rem(validators).unwrap_or(0)
}
