//! Ten storms with fixed seeds and one that nobody has seen before: messages are lost, a validator crashes and starts
//! again, one or two are cut off or slow, the gateway restarts with a full outbox, and one worker of three lies. Tempests
//! have every fault at once, treasons a validator that signs twice, seasons terms whose committees and keys change.
//!
//! `OG_SIM_SEED=<seed>` runs that one seed in their place, `OG_SIM_FRESH=<count>` more that nobody has seen.

use std::{
    ops::RangeInclusive,
    sync::OnceLock,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use protocol::{Role, Standing};
use sim::{Fault, Outcome, Scenario};
use worker::Adversary;

use crate::{facts, run, run_for_better_or_worse};

const HONEST: [usize; 2] = [0, 1];
const LIAR: [usize; 1] = [2];

fn seeds(fixed: RangeInclusive<u64>) -> Vec<u64> {
    if let Ok(seed) = std::env::var("OG_SIM_SEED") {
        return vec![seed.parse().unwrap()];
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20);
    let count: u64 = std::env::var("OG_SIM_FRESH").map_or(1, |count| count.parse().unwrap());
    fixed.chain(first..first + count).collect()
}

/// Runs all seeds, on two threads: each run has one of its own.
fn run_all(what: &str, fixed: RangeInclusive<u64>, scenario: fn(u64) -> Scenario) -> Vec<Outcome> {
    let seeds = seeds(fixed);
    eprintln!("{what}s {seeds:?}; to see one again: OG_SIM_SEED=<seed>");
    let (one, other) = seeds.split_at(seeds.len() / 2);
    let all = |seeds: &[u64]| seeds.iter().map(|seed| run_for_better_or_worse(scenario(*seed))).collect::<Vec<_>>();
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let first = scope.spawn(|| all(one));
        let second = all(other);
        first.join().unwrap().into_iter().chain(second).collect()
    });
    for outcome in &outcomes {
        let (height, seconds) = (outcome.ledgers[0].height(), outcome.now_ms / 1_000);
        eprintln!("{what} {:>20}  {height:>4} blocks  {seconds:>3} s  {}", outcome.seed, outcome.digest());
    }
    outcomes
}

/// Every storm is run once, for all the facts below.
fn storms() -> &'static [Outcome] {
    static STORMS: OnceLock<Vec<Outcome>> = OnceLock::new();
    STORMS.get_or_init(|| run_all("storm", 1..=10, Scenario::storm))
}

#[test]
fn every_storm_passes() {
    for outcome in storms() {
        assert!(outcome.finished, "seed {}: not over after {} ms", outcome.seed, outcome.now_ms);
    }
}

#[test]
fn every_honest_receipt_is_anchored_once_and_audited() {
    for outcome in storms() {
        assert_eq!(facts::of(outcome, &HONEST).count(), 8, "seed {}", outcome.seed);
        assert!(outcome.outbox_at_restart[0] >= 2, "seed {}: the gateway had nothing to lose", outcome.seed);
        facts::anchored_once(outcome, &HONEST);
        facts::all_stand(outcome, &HONEST, &[Standing::Audited]);
    }
}

#[test]
fn every_transfer_that_a_validator_acknowledged_is_executed_once() {
    storms().iter().for_each(facts::acknowledged_are_executed);
}

#[test]
fn every_false_receipt_is_refuted_or_came_after_its_worker_was_jailed() {
    for outcome in storms() {
        let liar = facts::node(outcome, Role::Worker, LIAR[0]);
        for promise in facts::of(outcome, &LIAR) {
            match facts::standing(outcome, &promise.id) {
                Some(standing) => assert_eq!(standing, Standing::Refuted, "seed {}", outcome.seed),
                None => assert!(liar.jailed && outcome.set_aside.contains(&promise.id), "seed {}", outcome.seed),
            }
        }
    }
}

#[test]
fn the_liar_and_nobody_else_is_slashed_and_money_is_constant() {
    for outcome in storms() {
        let liar = facts::node(outcome, Role::Worker, LIAR[0]);
        assert!(liar.slashed >= liar.stake, "seed {}: {liar:?}", outcome.seed);
        let others = outcome.ledgers[0].nodes().filter(|node| node.node != liar.node);
        others.for_each(|node| assert_eq!(node.slashed, 0, "seed {}: {node:?}", outcome.seed));
        facts::money_is_constant(outcome);
    }
}

#[test]
fn every_validator_has_the_same_epochs_and_the_network_signed_them() {
    for outcome in storms() {
        facts::one_history(outcome);
        facts::certificates_hold(outcome);
    }
}

#[test]
fn a_bundle_of_an_honest_receipt_is_held_after_its_window_and_not_before() {
    for outcome in storms() {
        facts::of(outcome, &HONEST)
            .for_each(|promise| facts::held_after_its_window_and_not_before(outcome, &promise.id));
    }
}

#[test]
fn a_bundle_of_a_refuted_receipt_is_refused_and_was_held_at_no_time() {
    for outcome in storms() {
        let refuted = facts::of(outcome, &LIAR).filter(|promise| outcome.status(&promise.id).is_some());
        refuted.for_each(|promise| facts::refused_and_never_held(outcome, &promise.id));
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let first = &storms()[0];
    let again = run(Scenario::storm(first.seed));
    assert_eq!(first.runtime, again.runtime, "seed {}", first.seed);
    assert_eq!(first.pulses, again.pulses, "seed {}", first.seed);
    assert_eq!(first.digest(), again.digest(), "seed {}", first.seed);
    for other in &storms()[1..] {
        assert_ne!(first.digest(), other.digest(), "seeds {} and {}", first.seed, other.seed);
    }
}

#[test]
fn whatever_breaks_and_whoever_lies_the_truth_is_anchored_once_and_stands() {
    const LIES: [Standing; 2] = [Standing::Refuted, Standing::Withheld];
    let (truthful, liar) = ([0, 2], [1]);
    for outcome in &run_all("tempest", 101..=105, Scenario::tempest) {
        assert!(outcome.finished, "seed {}: not over after {} ms", outcome.seed, outcome.now_ms);
        facts::anchored_once(outcome, &truthful);
        facts::all_stand(outcome, &truthful, &[Standing::Audited, Standing::Upheld]);
        // Once the worker is slashed, what nobody opened and nobody had challenged is in question for good.
        let withholds = Scenario::tempest(outcome.seed).workers[liar[0]] == Some(Adversary::Withhold);
        for promise in facts::of(outcome, &liar) {
            let Some(standing) = facts::standing(outcome, &promise.id) else { continue };
            let is_left = withholds && standing == Standing::Challenged;
            assert!(is_left || LIES.contains(&standing), "seed {}: {standing:?}", outcome.seed);
            facts::never_held(outcome, &promise.id);
        }
        let slashed = facts::node(outcome, Role::Worker, liar[0]).slashed > 0;
        let caught = facts::of(outcome, &liar).filter_map(|promise| facts::standing(outcome, &promise.id));
        assert_eq!(slashed, caught.filter(|standing| LIES.contains(standing)).count() > 0, "seed {}", outcome.seed);
        assert_eq!(outcome.ledgers[0].challenges().count(), 0, "seed {}", outcome.seed);
        truthful.iter().for_each(|place| assert_eq!(facts::node(outcome, Role::Worker, *place).slashed, 0));
        facts::acknowledged_are_executed(outcome);
        facts::one_history(outcome);
        facts::money_is_constant(outcome);
        facts::certificates_hold(outcome);
        facts::of(outcome, &truthful)
            .for_each(|promise| facts::held_after_its_window_and_not_before(outcome, &promise.id));
    }
}

#[test]
fn whatever_a_traitor_signs_there_is_one_history_and_everyone_else_is_served() {
    for outcome in &run_all("treason", 201..=204, Scenario::treason) {
        assert!(outcome.finished, "seed {}: not over after {} ms", outcome.seed, outcome.now_ms);
        assert!(outcome.misbehaviours.iter().any(|count| *count > 0), "seed {}: nobody noticed", outcome.seed);
        let ledger = &outcome.ledgers[0];
        let gone = |node: &protocol::NodeRecord| ledger.staked(&node.node).is_some_and(|staked| staked.tombstoned);
        let gone: Vec<_> = ledger.nodes().filter(gone).collect();
        assert!(matches!(&gone[..], [one] if one.role == Role::Validator && one.stake == 0), "{gone:?}");
        facts::anchored_once(outcome, &HONEST);
        facts::all_stand(outcome, &HONEST, &[Standing::Audited]);
        facts::acknowledged_are_executed(outcome);
        facts::history_of(outcome, sim::VALIDATORS - 1);
        facts::money_is_constant(outcome);
        facts::certificates_hold(outcome);
        facts::of(outcome, &HONEST)
            .for_each(|promise| facts::held_after_its_window_and_not_before(outcome, &promise.id));
    }
}

#[test]
fn whatever_breaks_committees_and_keys_change_and_whoever_pinned_the_first_key_follows() {
    for outcome in &run_all("season", 301..=303, Scenario::season) {
        let (seed, scenario) = (outcome.seed, Scenario::season(outcome.seed));
        assert!(outcome.finished, "seed {seed}: not over after {} ms", outcome.now_ms);
        let is_treason = scenario.faults.iter().any(|(_, fault)| matches!(fault, Fault::Betray(_)));
        facts::acknowledged_are_executed(outcome);
        facts::history_of(outcome, scenario.validators - usize::from(is_treason));
        facts::anchored_once(outcome, &HONEST);
        facts::all_stand(outcome, &HONEST, &[Standing::Audited]);
        facts::money_is_constant(outcome);
        facts::certificates_hold(outcome);
        let seats = outcome.ledgers[0].network().seats.len();
        assert_eq!(seats, 4, "seed {seed}: everybody sits as in the beginning");
        assert!(facts::keys_that_signed(outcome) > 1, "seed {seed}: the key never changed");
        // As of each epoch after its window: before a rotation, while a key is named and does not sign yet, and after it.
        for promise in facts::of(outcome, &HONEST) {
            facts::held_after_its_window_and_not_before(outcome, &promise.id);
            let anchored = outcome.status(&promise.id).unwrap().epoch;
            let last = outcome.ledgers[0].epoch(anchored).unwrap().last_challenge_epoch();
            let newest = outcome.newest_certified().unwrap();
            (last..=newest).for_each(|as_of| facts::told(outcome, &promise.id, as_of, facts::HELD));
        }
    }
}
