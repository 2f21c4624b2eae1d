//! Partitions, validators that are late, two down, all down: the network waits if it must, and loses nothing.

use protocol::Standing;
use sim::{Fault, Outcome, Scenario};

use crate::{facts, run};

const HONEST: [usize; 2] = [0, 1];

fn all_is_well(outcome: &Outcome) {
    facts::anchored_once(outcome, &HONEST);
    facts::all_stand(outcome, &HONEST, &[Standing::Audited]);
    facts::acknowledged_are_executed(outcome);
    facts::one_history(outcome);
    facts::money_is_constant(outcome);
    facts::certificates_hold(outcome);
    facts::of(outcome, &HONEST).for_each(|promise| facts::held_after_its_window_and_not_before(outcome, &promise.id));
}

/// The heights of one validator between two instants.
fn heights(outcome: &Outcome, validator: usize, from_ms: u64, until_ms: u64) -> Vec<u64> {
    let pulses = outcome.pulses.iter().filter(|pulse| (from_ms..until_ms).contains(&pulse.now_ms));
    pulses.filter_map(|pulse| pulse.heights[validator]).collect()
}

#[test]
fn a_validator_that_is_cut_off_stands_still_alone_and_catches_up() {
    let faults = vec![(1_000, Fault::Cut(2)), (5_000, Fault::Mend(2))];
    let outcome = run(Scenario { faults, requests: 15, ..Scenario::calm(21) });
    let cut = heights(&outcome, 2, 1_500, 5_000);
    assert_eq!(cut.first(), cut.last(), "a validator on its own went on");
    let others = heights(&outcome, 0, 1_500, 5_000);
    assert!(others.last().unwrap() > &(others.first().unwrap() + 5), "three of four stood still: {others:?}");
    all_is_well(&outcome);
}

#[test]
fn a_validator_whose_votes_come_after_the_leaders_timeout_stops_nobody_and_catches_up() {
    let faults = vec![(1_000, Fault::Slow(2, 1_500)), (5_000, Fault::Mend(2))];
    let outcome = run(Scenario { faults, requests: 15, ..Scenario::calm(25) });
    let others = heights(&outcome, 0, 1_500, 5_000);
    assert!(others.last().unwrap() > &(others.first().unwrap() + 3), "three of four stood still: {others:?}");
    all_is_well(&outcome);
}

/// From one second on until five the parts that these leave stand still, and then all is well.
fn parts_without_a_quorum(seed: u64, broken: &[Fault]) {
    let cut = broken.iter().map(|fault| (1_000, *fault));
    let faults = cut.chain((0..4).map(|validator| (5_000, Fault::Mend(validator)))).collect();
    let outcome = run(Scenario { faults, requests: 15, ..Scenario::calm(seed) });
    for validator in 0..4 {
        let during = heights(&outcome, validator, 1_500, 5_000);
        assert_eq!(during.first(), during.last(), "validator {validator} went on without a quorum");
    }
    assert!(outcome.promises.iter().any(|promise| (1_500..5_000).contains(&promise.promised_at_ms)));
    all_is_well(&outcome);
}

#[test]
fn two_halves_stand_still_and_afterwards_lose_nothing() {
    parts_without_a_quorum(26, &[Fault::Split(0, 1)]);
}

#[test]
fn half_of_a_network_and_two_that_are_alone_stand_still_and_afterwards_lose_nothing() {
    parts_without_a_quorum(27, &[Fault::Split(1, 3), Fault::Cut(0)]);
}

#[test]
fn what_waits_behind_a_gap_as_all_validators_die_is_executed_once_the_gap_is_closed() {
    const DEATH_MS: u64 = 1_100;
    let outcome = run(Scenario { faults: vec![(DEATH_MS, Fault::RestartAll)], ..Scenario::calm(28) });
    let [_, behind, missing, ..] = &outcome.transfers[..] else { panic!("a round has three transfers") };
    assert_eq!((behind.nonce, missing.nonce), (1, 0));
    assert!(behind.acknowledged.is_some_and(|(_, at_ms)| at_ms < DEATH_MS) && missing.due_at_ms > DEATH_MS);
    all_is_well(&outcome);
}

#[test]
fn with_two_of_four_down_the_network_stops_and_afterwards_loses_nothing() {
    let faults =
        vec![(1_000, Fault::Crash(0)), (1_000, Fault::Crash(3)), (5_000, Fault::Start(0)), (5_000, Fault::Resume(3))];
    let outcome = run(Scenario { faults, requests: 15, ..Scenario::calm(22) });
    let during = heights(&outcome, 1, 1_500, 5_000);
    assert_eq!(during.first(), during.last(), "two of four went on");
    assert!(outcome.promises.iter().any(|promise| (1_500..5_000).contains(&promise.promised_at_ms)));
    all_is_well(&outcome);
}

#[test]
fn all_validators_crash_at_once_and_go_on_from_their_disks() {
    let faults = vec![(1_500, Fault::RestartAll)];
    let outcome = run(Scenario { faults, loss_percent: 5, ..Scenario::calm(23) });
    assert_eq!(outcome.runtime.len(), 2, "two lives");
    all_is_well(&outcome);
}

#[test]
fn a_run_that_cannot_come_to_its_end_says_so() {
    let faults = vec![(500, Fault::Crash(0)), (500, Fault::Crash(1))];
    let outcome = sim::run(&Scenario { faults, limit_ms: 3_000, ..Scenario::calm(24) }).unwrap();
    assert!(!outcome.finished);
    assert_eq!(outcome.ledgers.len(), 2);
}
