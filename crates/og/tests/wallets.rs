//! The ledger as wallets see it: unmodified clients work against any validator, and what was acknowledged is there after a crash.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use network::Client;
use serde_json::{Value, json};
use support::{Devnet, python, run};

/// What a validator answers.
fn ask(url: &str, method: &str, params: &Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(Client::default().post_json(url, body, &[])).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    answer["result"].clone()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn clients_work_against_four_validators_and_a_crash_loses_nothing() {
    let devnet = Devnet::start(&["--workers", "1"]);
    let urls: Vec<String> = serde_json::from_value(devnet.ready["ledger"]["urls"].clone()).unwrap();
    assert_eq!(urls.len(), 4);
    let key = devnet.ready["base"]["keys"][0].clone();
    let (secret, address) = (key["secret"].as_str().unwrap(), &key["address"]);
    assert_eq!(ask(&urls[0], "eth_chainId", &json!([])), "0xa3f0c1");

    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    let said = run(python().arg(clients.join("web3_client.py")).args([&urls[0], secret]).arg(&clients));
    assert_eq!(said.code, 0, "{said:?}");

    // The registries: the four validators and their company, and the ledger's open epoch, which moves.
    let registry = |data: &str| {
        let call = json!([{ "to": "0x0000000000000000000000000000000000000a08", "data": data }, "latest"]);
        u64::from_str_radix(ask(&urls[0], "eth_call", &call).as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let (node_count, epoch) = ("0x6da49b83", "0x900cf0cf");
    assert!(registry(node_count) > 4);
    let first = registry(epoch);
    until("an epoch begins", || registry(epoch) > first);

    let count = ask(&urls[0], "eth_getTransactionCount", &json!([address, "finalized"]));
    let last = urls.last().unwrap();
    until("every validator has what one acknowledged", || {
        urls.iter().all(|url| ask(url, "eth_getTransactionCount", &json!([address, "latest"])) == count)
    });
    let balance = ask(&urls[0], "eth_getBalance", &json!([address, "latest"]));
    assert_eq!(ask(last, "eth_getBalance", &json!([address, "latest"])), balance);
    let logs = ask(last, "eth_getLogs", &json!([{ "fromBlock": "0x0" }]));
    let hash = &logs[0]["transactionHash"];
    let receipt = ask(last, "eth_getTransactionReceipt", &json!([hash]));
    assert_eq!(ask(&urls[0], "eth_getTransactionReceipt", &json!([hash])), receipt, "one chain");

    let devnet = devnet.crash_and_restart(&["--workers", "1"]);
    let urls: Vec<String> = serde_json::from_value(devnet.ready["ledger"]["urls"].clone()).unwrap();
    for url in &urls {
        until("a restarted validator has all that was acknowledged", || {
            ask(url, "eth_getTransactionCount", &json!([address, "latest"])) == count
        });
        assert_eq!(ask(url, "eth_getBalance", &json!([address, "latest"])), balance);
        assert_eq!(ask(url, "eth_getTransactionReceipt", &json!([hash])), receipt);
    }
    assert_eq!(run(python().arg(clients.join("web3_client.py")).args([&urls[1], secret]).arg(&clients)).code, 0);
}
