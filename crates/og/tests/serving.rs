//! A model that is published to a running network is served by whoever chooses to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use support::{Devnet, Said};

const PATIENCE: Duration = Duration::from_secs(60);

fn infer(devnet: &Devnet) -> Said {
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk/example.json");
    devnet.og(&["infer", "--model", "risk-floats", "--input", input.to_str().unwrap(), "--json"])
}

/// Gateways look every few seconds who serves what.
fn until_it_is(devnet: &Devnet, code: i32, what: &str) -> Said {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = infer(devnet);
        if said.code == code {
            return said;
        }
        assert!(Instant::now() < deadline, "not {what}: {said:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn a_model_that_is_published_later_is_served_by_the_worker_whose_operator_says_so() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let artefact = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk/risk-ordered.ogm");
    let published = devnet.og(&["model", "publish", artefact.to_str().unwrap(), "--name", "risk-floats"]);
    assert_eq!(published.code, 0, "{published:?}");
    assert!(published.stderr.contains("og node serve risk-floats"), "{published:?}");
    let deadline = Instant::now() + PATIENCE;
    let served = loop {
        // Its name is the gateway's once the transaction is in a block.
        let served = devnet.og(&["node", "serve", "risk-floats", "--json"]);
        if served.code == 0 {
            break served.json();
        }
        assert!(Instant::now() < deadline && served.stderr.contains("og model list"), "{served:?}");
        std::thread::sleep(Duration::from_millis(300));
    };
    assert_eq!(served["serves"], true);
    until_it_is(&devnet, 0, "served");
    assert!(devnet.ask("What is a hash?").is_ok(), "beside what it served before");

    // Its operator's word outlives it.
    let devnet = devnet.crash_and_restart(&["--workers", "1"]);
    let answered = until_it_is(&devnet, 0, "served after a crash").json();
    let receipt = answered["og"]["receipt_id"].as_str().unwrap();
    assert!(devnet.wait_for(receipt, &["final"], PATIENCE).is_some(), "{receipt} is not final");

    let stopped = devnet.og(&["node", "serve", "risk-floats", "--stop", "--json"]);
    assert_eq!((stopped.code, stopped.json()["serves"].as_bool()), (0, Some(false)), "{stopped:?}");
    until_it_is(&devnet, 1, "let go of");
    for (arguments, words) in [
        (&["node", "serve", "nothing-of-this-name"][..], "og model list"),
        (&["node", "serve", "risk-floats", "--name", "gateway"], "a worker's expected"),
        (&["node", "serve", "risk-floats", "--name", "worker-9"], "worker-9"),
    ] {
        let refused = devnet.og(arguments);
        assert!(refused.code == 1 && refused.stderr.contains(words), "{arguments:?}: {refused:?}");
    }
    std::fs::remove_file(devnet.dir().join("keys/worker-1.json")).unwrap();
    let refused = devnet.og(&["node", "serve", "risk-floats"]);
    assert!(refused.code == 1 && refused.stderr.contains("another folder says what it serves"), "{refused:?}");
}

#[test]
fn what_a_node_says_of_its_machine_is_read_back_from_the_registry() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let said = devnet.og(&["node", "describe", "tee=tdx", "cores=96", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let deadline = Instant::now() + PATIENCE;
    let shown = loop {
        let shown = devnet.og(&["node", "show", "worker-1", "--json"]).json();
        if !shown["capabilities"].as_array().unwrap().is_empty() {
            break shown;
        }
        assert!(Instant::now() < deadline, "{shown}");
        std::thread::sleep(Duration::from_millis(300));
    };
    let words: Vec<&str> =
        shown["capabilities"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(words[0].starts_with("cpu=") && words[1..] == ["tee=tdx", "cores=96"], "{words:?}");
    assert_eq!((shown["role"].as_str(), shown["jailed"].as_bool()), (Some("worker"), Some(false)), "{shown}");
    let shown = devnet.og(&["node", "show", "validator-1", "--json"]).json();
    assert!(shown["seats"].as_array().unwrap().iter().all(|term| term["seats"].as_u64().unwrap() > 0), "{shown}");
    let status = devnet.og(&["status", "--json"]).json();
    assert!(status["validator-1"]["seats"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(status["worker-1"]["jailed"], false, "{status}");
    for (arguments, words) in [
        (&["node", "describe", "TEE"][..], "hint: for instance tee=tdx"),
        (&["node", "describe", "tee=tdx", "--from", "alice"], "(OperatorOnly)"),
        (&["node", "show", "worker-9"], "worker-9"),
    ] {
        let refused = devnet.og(arguments);
        assert!(refused.code == 1 && refused.stderr.contains(words), "{arguments:?}: {refused:?}");
    }
    holders_see_what_they_have_and_what_stands_behind_it(&devnet);
}

/// What is staked shows at once, with what is known of the node; the supply is somebody's, who can spend what came free of it.
fn holders_see_what_they_have_and_what_stands_behind_it(devnet: &Devnet) {
    let said = |arguments: &[&str]| {
        let said = devnet.og(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.json()
    };
    said(&["stake", "delegate", "--from", "alice", "--node", "worker-1", "--amount", "100", "--json"]);
    let shown = said(&["stake", "show", "alice", "--json"]);
    assert_eq!((&shown["stake"][0]["opg"], &shown["stake"][0]["role"]), (&"100".into(), &"worker".into()), "{shown}");
    assert!(shown["stake"][0]["facts"]["audits_passed"].is_u64(), "{shown}");
    let shown = said(&["node", "show", "worker-1", "--json"]);
    assert_eq!(shown["facts"]["slashes"], 0, "{shown}");
    assert_eq!(shown["commission"]["history"][0]["millionths"], shown["commission"]["millionths"], "{shown}");
    let table = said(&["stake", "slashing", "--json"]);
    assert_eq!((table.as_array().map(Vec::len), &table[0]["name"]), (Some(8), &"equivocation".into()), "{table}");
    let supply = said(&["wallet", "allocations", "--json"]);
    let named = |name: &str| supply.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(supply.as_array().map(Vec::len), Some(7), "{supply}");
    assert_eq!((&named("airdrop")["key"], &named("airdrop")["released_opg"]), (&"airdrop".into(), &"40000000".into()));
    assert!(named("airdrop")["next_release"].is_null() && named("staking rewards")["key"].is_null(), "{supply}");
    said(&["wallet", "pay", "--from", "airdrop", "--to", "bob", "--amount", "1", "--json"]);
    assert_eq!(said(&["wallet", "show", "airdrop", "--json"])["opg"], "39999999");
}
