//! A network whose Base is a chain of somebody else's: its contracts are deployed there by one verb, and OPG goes there and comes back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "support/anvil.rs"]
mod anvil;
mod support;

use std::time::Duration;

use anvil::Anvil;
use contracts::{
    Artefact,
    abi::{IBridgedOPG, ISettlement},
    addresses::CREATE2_DEPLOYER,
};
use payments::{Address, hex};
use serde_json::{Value, json};
use support::{Devnet, Said, amount, said};

const PATIENCE: Duration = Duration::from_secs(90);
const OPG: u128 = 1_000_000_000_000_000_000;

fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

/// What the ledger holds locked and what is on Base, where nothing is on its way.
fn one_supply(status: &Value) -> u128 {
    let (locked, supply) = (amount(&status["ledger"]["locked"]), amount(&status["base"]["supply"]));
    assert_eq!(locked, supply, "{status}");
    locked
}

#[track_caller]
fn refused(said: &Said, words: &[&str]) {
    assert_eq!(said.code, 1, "{said:?}");
    words.iter().for_each(|word| assert!(said.stderr.contains(word), "{word}: {said:?}"));
}

fn deploy(devnet: &Devnet, rpc: &str, more: &[&str]) -> Said {
    let verb = ["bridge", "deploy", "--base-rpc", rpc, "--from", "base/0", "--json"];
    devnet.og(&[verb.as_slice(), more].concat())
}

/// A chain where a block is final when two are on top of it, with all that certificates are checked by.
fn base() -> Anvil {
    Anvil::start(&["--hardfork", "osaka", "--slots-in-an-epoch", "1"])
}

/// The network's own keys get coins for gas there.
fn fund(devnet: &Devnet, anvil: &Anvil) {
    for key in devnet.ready["base"]["keys"].as_array().unwrap() {
        anvil.tell("anvil_setBalance", json!([key["address"], format!("{:#x}", 10 * OPG)]));
    }
}

#[test]
fn contracts_are_deployed_on_another_chain_and_opg_goes_there_and_comes_back() {
    let anvil = base();
    let rpc = anvil.rpc.url().to_owned();
    let alone = ["--validators", "1", "--workers", "1", "--base-rpc", &rpc];
    let devnet = Devnet::start(&alone);
    fund(&devnet, &anvil);
    refused(&devnet.og(&["bridge", "status"]), &["not joined to Base", "hint: og bridge deploy"]);

    // The second contract fails: its deployer does nothing. The same again goes on.
    let put = |code: &[u8]| anvil.tell("anvil_setCode", json!([CREATE2_DEPLOYER, hex::encode_prefixed(code)]));
    put(&[0xfe]);
    refused(&deploy(&devnet, &rpc, &[]), &["failed to deploy"]);
    let begun: Value = serde_json::from_slice(&std::fs::read(devnet.dir().join("deployment.json")).unwrap()).unwrap();
    assert_eq!(anvil.code(address(&begun["settlement"])), Artefact::SETTLEMENT.code);
    assert_eq!(anvil.code(address(&begun["token"])), [0_u8; 0]);
    let other = devnet.og(&["bridge", "deploy", "--base-rpc", &rpc, "--from", "base/1"]);
    refused(&other, &["begun on chain 8453 from 0x", "hint: go on with those, or remove"]);
    put(Artefact::CREATE2_DEPLOYER.code);
    let deployed = deploy(&devnet, &rpc, &[]);
    assert_eq!(deployed.code, 0, "{deployed:?}");
    let deployed = deployed.json();
    assert_eq!((&deployed["settlement"], &deployed["token"]), (&begun["settlement"], &begun["token"]));
    assert_eq!(deployed["transactions"].as_array().unwrap().len(), 1, "only what was missing");
    let again = deploy(&devnet, &rpc, &[]).json();
    assert_eq!(again["transactions"].as_array().unwrap().len(), 0, "nothing is deployed twice");
    let (settlement, token) = (address(&deployed["settlement"]), address(&deployed["token"]));
    assert_eq!(anvil.read(settlement, &ISettlement::tokenCall {}), token);
    assert_eq!(anvil.read(token, &IBridgedOPG::settlementCall {}), settlement);

    let named = deployed["arguments"].as_str().unwrap().split(' ').collect::<Vec<_>>();
    let devnet = devnet.crash_and_restart(&[&named[..], &["--workers", "1"]].concat());
    assert_eq!(one_supply(&devnet.bridge_status()), 0, "nothing is locked for what is not there");
    refused(&deploy(&devnet, &rpc, &[]), &["joined to Base already"]);

    said(&devnet, &["bridge", "to-base", "12.5", "--key", "base/1"]);
    devnet.bridge_until("a settlement on the other chain", PATIENCE, |now| now["base"]["next"] == 1);
    let claimed = said(&devnet, &["payout", "claim", "--key", "base/1"]);
    assert_eq!(amount(&claimed["amount"]), 25 * OPG / 2);
    assert_eq!(one_supply(&devnet.bridge_status()), 25 * OPG / 2);
    let before = amount(&said(&devnet, &["wallet", "show", "bob"])["balance"]);
    said(&devnet, &["bridge", "to-ledger", "3", "--key", "base/1", "--to", "bob"]);
    let end =
        devnet.bridge_until("the burn is final, credited and told", PATIENCE, |now| now["base"]["burns_credited"] == 1);
    assert_eq!(one_supply(&end), 19 * OPG / 2, "one supply at the end");
    assert_eq!(amount(&said(&devnet, &["wallet", "show", "bob"])["balance"]), before + 3 * OPG);
}

#[test]
fn a_chain_that_is_not_meant_or_cannot_check_certificates_is_refused_before_anything_is_sent() {
    let old = Anvil::start(&["--hardfork", "cancun"]);
    let rpc = old.rpc.url().to_owned();
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1", "--base-rpc", &rpc]);
    fund(&devnet, &old);
    refused(&deploy(&devnet, &rpc, &["--chain", "84532"]), &["of chain 8453, 84532 expected", "--chain 8453"]);
    refused(&deploy(&devnet, &rpc, &[]), &["by which signatures are checked", "EIP-2537"]);
    assert!(!devnet.dir().join("deployment.json").exists(), "nothing was begun");
    let bare = Anvil::start(&["--hardfork", "osaka", "--disable-default-create2-deployer"]);
    refused(&deploy(&devnet, bare.rpc.url(), &[]), &["no deployer at 0x4e59"]);
    let first = address(&devnet.ready["base"]["keys"][0]["address"]);
    assert_eq!((old.sent(first), bare.sent(first)), (0, 0));
}

#[test]
fn what_is_locked_for_a_base_of_its_own_is_on_no_other() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let rpc = "http://127.0.0.1:1";
    refused(
        &deploy(&devnet, rpc, &[]),
        &["70000 OPG locked for the devnet's own Base", "hint: make a network for that one"],
    );
    let dir = devnet.dir();
    let _folder = devnet.stop();
    let nowhere = "0x4f50470000000000000000000000000000005e78";
    let said = support::run(support::og().args(["devnet", "--dir"]).arg(&dir).args([
        "--base-rpc",
        rpc,
        "--base-settlement",
        nowhere,
    ]));
    refused(&said, &["70000 OPG locked for the devnet's own Base", "hint: make a network for that one"]);
}
