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

#[test]
fn what_was_paid_for_an_answer_that_its_worker_withheld_comes_back_to_its_payer_on_the_ledger() {
    let devnet = Devnet::start(&["--paid", "--validators", "1", "--workers", "1", "--adversary", "withhold"]);
    let said = |arguments: &[&str]| {
        let said = devnet.og(&[arguments, &["--json"]].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.json()
    };
    let units = |amount: &serde_json::Value| amount.as_str().unwrap().parse::<u128>().unwrap();
    let balance = || units(&said(&["wallet", "show", "base/0"])["balance"]);
    let before = balance();
    let body = serde_json::json!({
        "model": "demo-chat", "max_tokens": 16, "messages": [{ "role": "user", "content": "Who is refunded?" }],
    });
    let call = ["pay", "/v1/chat/completions", "--data", &body.to_string(), "--max", "1", "--token", "usdc"];
    let paid = said(&[&call[..], &["-H", "x-og-opening: include"]].concat());
    let (receipt, charged) = (paid["receipt"].as_str().unwrap(), units(&paid["body"]["og"]["payment"]["charged_opg"]));
    let answer = devnet.dir().join("answer.json");
    std::fs::write(&answer, paid.to_string()).unwrap();
    let claim = ["receipt", "claim", receipt, "--key", "publisher", "--opening", answer.to_str().unwrap()];
    assert_ne!(devnet.og(&claim).code, 0, "it stands");
    assert!(devnet.wait_for(receipt, &["refuted"], Duration::from_secs(60)).is_some());
    assert_eq!(said(&claim)["standing"], "withheld");
    // Out of the gateway's account: what it had paid into the receipt's own, or what it pays from now on.
    let deadline = Instant::now() + Duration::from_secs(120);
    while balance() != before + charged {
        assert!(Instant::now() < deadline, "not paid: {}", said(&["wallet", "owed", "base/0"]));
        std::thread::sleep(Duration::from_millis(500));
    }
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
