//! The official clients against a devnet, unchanged: what they ask, read and raise is what their own service would give.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{path::Path, process::Command};

use support::{Devnet, python, run};

/// Runs a script of `clients/` with the gateway's address as its argument.
fn is_content(interpreter: &mut Command, script: &str) {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let said = run(interpreter.arg(path).arg(devnet.text("gateway")));
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn openais_client_calls_tools_parses_answers_and_reads_scores() {
    is_content(&mut python(), "openai_tools.py");
}

#[test]
fn anthropics_client_converses_calls_tools_counts_and_raises_its_own_errors() {
    is_content(&mut python(), "anthropic_messages.py");
}

#[test]
fn the_acceptance_cases_of_open_responses_hold() {
    is_content(&mut python(), "open_responses.py");
}
