//! The devnet's Base: a client works against it unmodified, and what it acknowledged is there after a crash.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{path::Path, process::Command};

use network::Client;
use serde_json::{Value, json};
use support::{Devnet, run};

/// What the devnet's Base answers.
fn ask(devnet: &Devnet, method: &str, params: &Value) -> Value {
    let url = devnet.ready["base"]["url"].as_str().unwrap().to_owned();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(Client::default().post_json(&url, body, &[])).unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["result"].clone()
}

#[test]
fn a_client_works_against_base_and_a_crash_loses_nothing() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let base = devnet.ready["base"].clone();
    assert_eq!(ask(&devnet, "eth_chainId", &json!([])), "0x2105");
    let second = devnet.og(&["devnet", "--port", "0"]);
    assert!(second.code == 1 && second.stderr.contains("a devnet runs in "), "{second:?}");
    let python = std::env::var("OG_TEST_PYTHON");
    let python = python.expect("OG_TEST_PYTHON is not set: `cargo xtask test` makes the environment and sets it");
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    let (url, key) = (base["url"].as_str().unwrap(), base["keys"][0]["secret"].as_str().unwrap());
    let said = run(Command::new(python).arg(clients.join("web3_client.py")).args([url, key]).arg(&clients));
    assert_eq!(said.code, 0, "{said:?}");
    let holder = base["keys"][1]["address"].as_str().unwrap().trim_start_matches("0x");
    let held = json!([{ "to": base["contracts"]["opg"], "data": format!("0x70a08231{holder:0>64}") }, "latest"]);
    assert_eq!(ask(&devnet, "eth_call", &held), format!("{:#066x}", 10_000_u128 * 1_000_000_000_000_000_000));
    // The settlement listens to this network's ledger.
    let chain = json!([{ "to": base["contracts"]["settlement"], "data": "0x60ccbffc" }, "latest"]);
    assert_eq!(ask(&devnet, "eth_call", &chain), format!("{:#066x}", 10_744_001));
    let newest = ask(&devnet, "eth_getBlockByNumber", &json!(["latest", true]));
    let account = json!([base["keys"][0]["address"], "latest"]);
    let balance = ask(&devnet, "eth_getBalance", &account);

    let devnet = devnet.crash_and_restart(&[]);
    assert_eq!(devnet.ready["base"], base);
    assert_eq!(ask(&devnet, "eth_getBlockByNumber", &json!(["latest", true])), newest);
    assert_eq!(ask(&devnet, "eth_getBalance", &account), balance);

    let elsewhere = devnet.crash_and_restart(&["--base-rpc", "http://127.0.0.1:1"]);
    assert_eq!(elsewhere.ready["base"]["url"], "http://127.0.0.1:1");
    // Nothing is shown there but what can be funded.
    let addresses: Vec<_> = base["keys"].as_array().unwrap().iter().map(|key| &key["address"]).collect();
    assert_eq!(
        elsewhere.ready["base"]["keys"],
        json!(addresses.iter().map(|of| json!({ "address": of })).collect::<Vec<_>>())
    );
}
