//! A worker that lies is caught: challenged by the auditor, re-executed and voted on by the validators, slashed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::time::{Duration, Instant};

use support::{Devnet, verify_offline};

/// From the false answer to the slash.
const CAUGHT_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn a_lying_worker_is_refuted_and_slashed_and_a_bundle_says_so() {
    let devnet = Devnet::start(&["--adversary", "wrong-output"]);
    let refuted = false_receipt(&devnet);
    devnet.wait_for_verdict(&refuted, 1);
    let bundle = devnet.export(&refuted, "refuted.json");
    let said = verify_offline(&bundle, &devnet.dir().join("trust.json"));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("refuted"), "{said:?}");
    assert_eq!(devnet.og(&["audit", &refuted]).code, 1, "an audit here finds the same");
    let nodes = devnet.og(&["node", "list", "--json"]).json();
    let slashed = |node: &serde_json::Value| node["slashed"] != "0";
    let culprits: Vec<_> = nodes.as_array().unwrap().iter().filter(|node| slashed(node)).collect();
    assert_eq!(culprits.len(), 1, "{culprits:?}");
    assert_eq!(culprits[0]["role"], "worker");
}

#[test]
fn a_worker_that_withholds_its_evidence_is_slashed_as_a_liar() {
    // Whoever votes on it may sit in another term than that in which it was challenged.
    let devnet = Devnet::start(&["--workers", "1", "--adversary", "withhold", "--term-blocks", "40"]);
    let receipt = devnet.ask("What is a receipt?").unwrap();
    // It has some epochs to respond before it counts as withheld.
    assert!(devnet.wait_for(&receipt, &["refuted", "withheld"], Duration::from_secs(30)).is_some());
    devnet.wait_for_verdict(&receipt, 1);
}

/// Asks until the liar was the one to answer; its receipt, once refuted in time.
fn false_receipt(devnet: &Devnet) -> String {
    for _ in 0..12 {
        let receipt = devnet.ask("What is a worker?").unwrap();
        let answered = Instant::now();
        let seen = devnet.wait_for(&receipt, &["audited", "final", "refuted"], Duration::from_secs(30));
        assert!(seen.is_some(), "{receipt} was never audited");
        let state = devnet.og(&["receipt", "show", "--json", &receipt]).json()["state"].clone();
        if state == "refuted" {
            assert!(answered.elapsed() < CAUGHT_WITHIN, "caught only after {:?}", answered.elapsed());
            return receipt;
        }
    }
    panic!("the liar never answered");
}
