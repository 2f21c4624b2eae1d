//! The ledger as wallets see it: unmodified clients work against any validator, and what was acknowledged is there after a crash.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use network::Client;
use serde_json::{Value, json};
use support::{Devnet, og, python, run};

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

    others_work(&urls[0], &devnet.ready["base"]["keys"], &clients);

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

    proofs_hold_offline(&devnet, address.as_str().unwrap(), &balance);

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

/// The other clients, each with a key of its own, beside each other: a block has transactions of several, and now and then the ledger's.
fn others_work(url: &str, keys: &Value, clients: &Path) {
    let packages = std::env::var("OG_TEST_NODE");
    let packages = packages.expect("OG_TEST_NODE is not set: `cargo xtask test` makes the environment and sets it");
    let packages = Path::new(&packages);
    let secret = |index: usize| keys[index]["secret"].as_str().unwrap().to_owned();
    let with = |mut command: Command, key: String| {
        command.args([url, key.as_str()]).arg(clients);
        command
    };
    // Node finds packages beside the script; another test's copy may be running.
    let node = |name: &str, key: String| {
        let script = packages.join(format!("ledger_{name}"));
        std::fs::copy(clients.join(name), &script).unwrap();
        let mut node = Command::new("node");
        node.arg(script);
        with(node, key)
    };
    let mut metamask = python();
    metamask.arg(clients.join("metamask_calls.py"));
    let mut metamask = with(metamask, secret(3));
    metamask.arg("0x0000000000000000000000000000000000000a00");
    let mut commands = vec![node("ethers_client.mjs", secret(1)), node("viem_client.mjs", secret(2)), metamask];
    let project = tempfile::tempdir().unwrap();
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let foundry = |script: &str, program: &str, key: String| {
            let mut shell = Command::new("sh");
            shell.arg(clients.join(script));
            shell.arg(packages.join(format!("node_modules/@foundry-rs/{program}-linux-amd64/bin/{program}")));
            with(shell, key)
        };
        let mut cast = foundry("cast_client.sh", "cast", secret(4));
        cast.arg("10744001");
        let mut forge = foundry("forge_client.sh", "forge", secret(5));
        forge.arg(packages).arg(project.path());
        commands.extend([cast, forge, foundry("cast_modules.sh", "cast", secret(6))]);
    }
    std::thread::scope(|scope| {
        for mut command in commands {
            scope.spawn(move || {
                let said = run(&mut command);
                assert!(said.code == 0 && said.stdout.contains(": ok"), "{command:?}: {said:?}");
            });
        }
    });
}

/// What an account is, and a slot of a module, is shown with proofs that hold where the network was never seen.
fn proofs_hold_offline(devnet: &Devnet, address: &str, balance: &Value) {
    let trust = devnet.dir().join("trust.json");
    let out = |name: &str| devnet.folder.path().join(name);
    let proof = |who: &str, more: &[&str], name: &str| {
        let file = out(name);
        let said = devnet.og(&[["proof", who, "--out", file.to_str().unwrap()].as_slice(), more].concat());
        assert_eq!(said.code, 0, "{said:?}");
        file
    };
    let verified = |file: &Path, trust: &Path| {
        let elsewhere = tempfile::tempdir().unwrap();
        let mut command = og();
        command.current_dir(elsewhere.path()).args(["proof", "verify", "--json"]).arg(file).arg("--trust").arg(trust);
        run(&mut command)
    };
    let units = u128::from_str_radix(balance.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    until("the newest certified epoch has what was sent", || {
        let held = verified(&proof(address, &[], "wallet.json"), &trust);
        assert_eq!((held.code, &held.json()["verdict"]), (0, &json!("held")), "{held:?}");
        held.json()["account"]["balance"] == json!(units.to_string())
    });
    let wallet = out("wallet.json");
    // What OPG has booked as burned.
    let opg = "0x0000000000000000000000000000000000000a00";
    let slot = verified(&proof(opg, &["--slot", "1"], "slot.json"), &trust).json()["slot"].clone();
    assert_ne!(slot["value"], json!(format!("0x{}", "00".repeat(32))), "{slot}");
    let told = devnet.og(&["proof", "0x00000000000000000000000000000000000000ff"]);
    assert!(told.code == 0 && told.stdout.contains("nothing") && told.stdout.contains("held: as of epoch"), "{told:?}");

    let said = std::fs::read_to_string(&wallet).unwrap();
    let mut face: Value = serde_json::from_str(&said).unwrap();
    face["account"]["nonce"] = json!(9_999);
    let forged = out("forged.json");
    std::fs::write(&forged, face.to_string()).unwrap();
    let refused = verified(&forged, &trust);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.json()["reason"].as_str().unwrap().starts_with("account: "), "{refused:?}");
    std::fs::write(&forged, "{}").unwrap();
    assert_eq!(verified(&forged, &trust).code, 1);
    assert_eq!(verified(&wallet, &out("no trust.json")).code, 2);
    assert_eq!(devnet.og(&["proof", opg, "--slot", "two"]).code, 2);
    // An address of a key that wallets sign with is named as everywhere.
    let first = &devnet.ready["base"]["keys"][0]["address"];
    let shown = devnet.og(&["wallet", "show", "base/0", "--json"]).json();
    assert!(shown["address"].as_str().unwrap().eq_ignore_ascii_case(first.as_str().unwrap()), "{shown}");
    assert_eq!(devnet.og(&["proof", "base/0"]).code, 0);
    let none = devnet.og(&["wallet", "show", "base/first"]);
    assert!(none.code == 1 && none.stderr.contains("no index of an address"), "{none:?}");
}
