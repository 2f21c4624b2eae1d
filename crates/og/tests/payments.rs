//! A devnet that takes payments: the official clients pay it unmodified, and what they were charged is what left their wallets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::path::Path;

use support::{Devnet, python, run};

#[test]
fn pypis_client_pays_by_every_scheme_and_is_charged_what_it_was_told() {
    let devnet = Devnet::start(&["--paid", "--validators", "1", "--workers", "1"]);
    let base = devnet.ready["base"].clone();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/x402_pays.py");
    let mut command = python();
    command.arg(script).arg(devnet.text("gateway"));
    command.arg(base["url"].as_str().unwrap()).arg(base["keys"][0]["secret"].as_str().unwrap());
    let said = run(&mut command);
    assert!(said.code == 0 && said.stdout.contains("x402 pays: ok"), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn npms_client_pays_within_its_own_limits_and_takes_back_what_is_left() {
    let devnet = Devnet::start(&["--paid", "--validators", "1", "--workers", "1"]);
    let base = devnet.ready["base"].clone();
    let folder = std::env::var("OG_TEST_CONTRACTS");
    let folder = folder.expect("OG_TEST_CONTRACTS is not set: `cargo xtask test` makes and sets it");
    let script = Path::new(&folder).join("x402_pays.mjs");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/x402_pays.mjs"), &script).unwrap();
    let mut command = std::process::Command::new("node");
    command.arg(script).arg(devnet.text("gateway"));
    command.arg(base["url"].as_str().unwrap()).arg(base["keys"][1]["secret"].as_str().unwrap());
    let said = run(&mut command);
    assert!(said.code == 0 && said.stdout.contains("x402 pays: ok"), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn npms_axios_client_pays_and_spends_no_gas() {
    let devnet = Devnet::start(&["--paid", "--validators", "1", "--workers", "1"]);
    let base = devnet.ready["base"].clone();
    let mut command = support::payer_script("x402_axios.mjs");
    command.arg(devnet.text("gateway"));
    command.arg(base["url"].as_str().unwrap()).arg(base["keys"][0]["secret"].as_str().unwrap());
    let said = run(&mut command);
    assert!(said.code == 0 && said.stdout.contains("x402 axios: ok"), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn opengradients_fork_opens_a_session_and_draws_on_it() {
    let devnet = Devnet::start(&["--paid", "--validators", "1", "--workers", "1"]);
    let base = devnet.ready["base"].clone();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/og_x402_pays.py");
    let fork = std::env::var("OG_TEST_FORK");
    let mut command = python();
    command.env("PYTHONPATH", fork.expect("OG_TEST_FORK is not set: `cargo xtask test` makes and sets it"));
    command.arg(script).arg(devnet.text("gateway"));
    command.arg(base["url"].as_str().unwrap()).arg(base["keys"][1]["secret"].as_str().unwrap());
    let said = run(&mut command);
    assert!(said.code == 0 && said.stdout.contains("og-x402 pays: ok"), "{}\n{}", said.stdout, said.stderr);
}
