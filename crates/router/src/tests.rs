//! What the router promises, as facts and as properties.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MODEL: Digest = Digest([9; 32]);

fn worker(name: u8) -> WorkerView {
    WorkerView {
        node: Digest([name; 32]),
        endpoint: format!("http://127.0.0.1:{name}"),
        models: vec![MODEL],
        jailed: false,
        stake: 1 << 70,
        in_flight: 0,
        failures: 0,
        last_latency_ms: None,
    }
}

fn wanted() -> Wanted {
    Wanted { model: MODEL, exclude: Vec::new() }
}

fn counts(workers: &[WorkerView], turns: u64) -> BTreeMap<NodeId, u64> {
    let mut counts = BTreeMap::new();
    for turn in 0..turns {
        *counts.entry(choose(workers, &wanted(), turn).unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn nobody_is_chosen_from_nobody() {
    assert_eq!(choose(&[], &wanted(), 0), None);
}

#[test]
fn the_least_loaded_is_chosen() {
    let busy = WorkerView { in_flight: 3, ..worker(1) };
    let idle = WorkerView { in_flight: 2, ..worker(2) };
    assert_eq!(choose(&[busy, idle.clone()], &wanted(), 5), Some(idle.node));
}

#[test]
fn among_equally_loaded_the_much_faster_is_chosen() {
    let slow = WorkerView { last_latency_ms: Some(2_000), ..worker(1) };
    let fast = WorkerView { last_latency_ms: Some(50), ..worker(2) };
    assert_eq!(choose(&[slow, fast.clone()], &wanted(), 5), Some(fast.node));
}

#[test]
fn who_cannot_serve_is_never_chosen() {
    let unfit = [
        WorkerView { jailed: true, ..worker(1) },
        WorkerView { endpoint: String::new(), ..worker(2) },
        WorkerView { models: vec![Digest::ZERO], ..worker(3) },
    ];
    assert_eq!(choose(&unfit, &wanted(), 0), None);
    let excluded = Wanted { exclude: vec![worker(4).node], ..wanted() };
    assert_eq!(choose(&[worker(4)], &excluded, 0), None);
}

#[test]
fn equals_take_turns_in_proportion_to_stake() {
    let rich = WorkerView { stake: 3 << 70, ..worker(1) };
    let shares = counts(&[rich.clone(), worker(2)], 4_000);
    let share = *shares.get(&rich.node).unwrap();
    assert!((2_850..3_150).contains(&share), "{share} of 4000");
}

#[test]
fn a_failing_worker_is_probed_ever_more_rarely() {
    let failing = |failures| WorkerView { failures, ..worker(1) };
    let asked = |failures| counts(&[failing(failures), worker(2)], 4_096).get(&worker(1).node).copied().unwrap_or(0);
    assert!(asked(0) > asked(1) && asked(1) > asked(3) && asked(3) > asked(6));
    assert!(asked(6) > 0, "it is never given up");
    assert!(asked(60) > 0);
}

#[test]
fn the_only_worker_is_asked_however_often_it_failed() {
    let failing = WorkerView { failures: u32::MAX, ..worker(1) };
    assert_eq!(choose(std::slice::from_ref(&failing), &wanted(), 3), Some(failing.node));
}

fn any_worker() -> impl Strategy<Value = WorkerView> {
    let traits = (0..8_u8, any::<bool>(), any::<bool>(), any::<u128>(), 0..4_u32, any::<u32>(), any::<Option<u64>>());
    traits.prop_map(|(name, jailed, serves, stake, in_flight, failures, last_latency_ms)| WorkerView {
        models: if serves { vec![MODEL] } else { Vec::new() },
        jailed,
        stake,
        in_flight,
        failures: failures.leading_zeros(),
        last_latency_ms,
        ..worker(name)
    })
}

proptest! {
    #[test]
    fn somebody_is_chosen_exactly_when_somebody_can_serve(
        workers in proptest::collection::vec(any_worker(), 0..12), turn: u64, skip in 0..8_u8,
    ) {
        let wanted = Wanted { exclude: vec![worker(skip).node], ..wanted() };
        let chosen = choose(&workers, &wanted, turn);
        prop_assert_eq!(chosen.is_some(), workers.iter().any(|worker| worker.can_serve(&wanted)));
        if let Some(node) = chosen {
            prop_assert!(workers.iter().any(|worker| worker.node == node && worker.can_serve(&wanted)));
        }
    }

    #[test]
    fn the_order_in_which_workers_are_known_changes_nothing(
        workers in proptest::collection::btree_map(0..30_u8, any_worker(), 0..12), turn: u64,
    ) {
        let workers: Vec<_> = workers.into_iter().map(|(name, view)| WorkerView { node: worker(name).node, ..view }).collect();
        let backwards: Vec<_> = workers.iter().rev().cloned().collect();
        prop_assert_eq!(choose(&workers, &wanted(), turn), choose(&backwards, &wanted(), turn));
    }
}
