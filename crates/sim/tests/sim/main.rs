//! The whole network, run after run: what must hold whatever is lost, breaks or lies.
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

mod facts;
mod faults;
mod liars;
mod storms;

use sim::{Outcome, Scenario, Status};

/// Runs a scenario to its end. `OG_SIM_STATUS=<seconds>` makes it tell how it goes.
fn run(mut scenario: Scenario) -> Outcome {
    let seconds = std::env::var("OG_SIM_STATUS").ok().map(|seconds| seconds.parse::<u64>().unwrap());
    let print: fn(&str) = |line| eprintln!("{line}");
    scenario.status = seconds.map(|seconds| Status { every_ms: seconds * 1_000, print });
    let outcome = sim::run(&scenario).unwrap();
    assert!(outcome.finished, "seed {}: not over after {} ms", scenario.seed, outcome.now_ms);
    outcome
}
