//! The whole network, run after run: what must hold whatever is lost, breaks or lies.
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

mod facts;
mod faults;
mod liars;
mod storms;

use sim::{Outcome, Scenario, Status};

/// Runs a scenario to its end.
fn run(scenario: Scenario) -> Outcome {
    let seed = scenario.seed;
    let outcome = run_for_better_or_worse(scenario);
    assert!(outcome.finished, "seed {seed}: not over after {} ms", outcome.now_ms);
    outcome
}

/// Runs a scenario to its end or to its time limit. `OG_SIM_STATUS=<seconds>` makes it tell how it goes.
fn run_for_better_or_worse(mut scenario: Scenario) -> Outcome {
    let seconds = std::env::var("OG_SIM_STATUS").ok().map(|seconds| seconds.parse::<u64>().unwrap());
    let print: fn(&str) = |line| eprintln!("{line}");
    scenario.status = seconds.map(|seconds| Status { every_ms: seconds * 1_000, print });
    sim::run(&scenario).unwrap()
}
