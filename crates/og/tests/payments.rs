//! A devnet that takes payments: the official clients pay it unmodified, and what they were charged is what left their wallets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{path::Path, process::Command};

use payments::{price::Unit, scheme::KnownToken, wire::Network};
use serde_json::Value;
use support::{Devnet, Said, chat_body, node_script, python, run};

/// Who pays.
#[derive(Clone, Copy)]
enum Payer {
    /// One of Base's keys, which has coins for gas.
    Funded(usize),
    /// Somebody with tokens, and no coin of Base's at all.
    Coinless,
}

impl Payer {
    fn secret(self, devnet: &Devnet) -> String {
        let base = &devnet.ready["base"];
        match self {
            Self::Funded(key) => base["keys"][key]["secret"].as_str().unwrap().to_owned(),
            Self::Coinless => {
                let giver = base["keys"][2]["secret"].as_str().unwrap();
                coinless(base["url"].as_str().unwrap(), giver, &[])
            }
        }
    }
}

/// The secret of a new account with ten of each token, of Base's where none is named, and no coins; another gives them.
fn coinless(rpc: &str, giver: &str, tokens: &[&str]) -> String {
    let said = run(python_script("coinless.py").args([rpc, giver]).args(tokens));
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout.trim().to_owned()
}

/// What came of a client's script on a devnet, with a payer's key.
fn told(devnet: &Devnet, mut client: Command, payer: Payer) -> Said {
    let base = devnet.ready["base"]["url"].as_str().unwrap();
    run(client.arg(devnet.text("gateway")).arg(base).arg(payer.secret(devnet)))
}

/// A client's script on a devnet that takes payments on its Base and on its ledger; it says `ok` where all held.
fn pays(client: Command, payer: Payer, ok: &str) {
    let mut options = vec!["--paid", "--validators", "1", "--workers", "1"];
    if matches!(payer, Payer::Coinless) {
        options.push("--any-payer");
    }
    let said = told(&Devnet::start(&options), client, payer);
    assert!(said.code == 0 && said.stdout.contains(ok), "{}\n{}", said.stdout, said.stderr);
}

fn python_script(name: &str) -> Command {
    let mut command = python();
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name));
    command
}

#[test]
fn pypis_client_pays_by_every_scheme_and_is_charged_what_it_was_told() {
    pays(python_script("x402_pays.py"), Payer::Coinless, "x402 pays: ok");
}

#[test]
fn npms_client_pays_within_its_own_limits_and_takes_back_what_is_left() {
    pays(node_script("OG_TEST_CONTRACTS", "x402_pays.mjs"), Payer::Coinless, "x402 pays: ok");
}

#[test]
fn npms_axios_client_pays_and_spends_no_gas() {
    pays(node_script("OG_TEST_PAYERS", "x402_axios.mjs"), Payer::Coinless, "x402 axios: ok");
}

#[test]
fn npms_clients_pay_without_gas_by_either_approval_and_check_what_is_signed() {
    // Its payers make their keys themselves, and what those sign is good on the real Base.
    let devnet = Devnet::start(&["--paid-on", "base", "--validators", "1", "--workers", "1"]);
    let payers = |devnet: &Devnet| {
        let written: Value =
            serde_json::from_slice(&std::fs::read(devnet.dir().join("payments.json")).unwrap()).unwrap();
        written["chains"][0]["payers"].as_array().map(Vec::len)
    };
    assert_eq!(payers(&devnet), devnet.ready["base"]["keys"].as_array().map(Vec::len));
    let said = told(&devnet, node_script("OG_TEST_PAYERS", "x402_extensions.mjs"), Payer::Funded(1));
    assert!(said.code != 0 && said.stderr.contains("foreign_payer"), "{}\n{}", said.stdout, said.stderr);
    let devnet = devnet.crash_and_restart(&["--any-payer", "--workers", "1"]);
    assert_eq!(payers(&devnet), devnet.ready["base"]["keys"].as_array().map(Vec::len), "kept for the next start");
    let said = told(&devnet, node_script("OG_TEST_PAYERS", "x402_extensions.mjs"), Payer::Funded(1));
    assert!(said.code == 0 && said.stdout.contains("x402 extensions: ok"), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn opengradients_fork_opens_a_session_and_draws_on_it() {
    let fork = std::env::var("OG_TEST_FORK");
    let mut command = python_script("og_x402_pays.py");
    command.env("PYTHONPATH", fork.expect("OG_TEST_FORK is not set: `cargo xtask test` makes and sets it"));
    pays(command, Payer::Coinless, "og-x402 pays: ok");
}

fn sdk_script() -> Command {
    let interpreter = std::env::var("OG_TEST_SDK");
    let mut command = Command::new(interpreter.expect("OG_TEST_SDK is not set: `cargo xtask test` makes and sets it"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/opengradient_sdk.py"));
    command
}

#[test]
fn opengradients_sdk_pays_and_knows_no_difference() {
    pays(sdk_script(), Payer::Funded(1), "opengradient pays: ok");
}

#[test]
fn opengradients_sdk_pays_for_who_has_no_coins() {
    pays(sdk_script(), Payer::Coinless, "opengradient pays: ok");
}

#[test]
fn the_registrys_rust_client_pays_within_its_own_limits_and_by_a_session() {
    let payer = std::env::var("OG_TEST_RUST_PAYER");
    let payer = payer.expect("OG_TEST_RUST_PAYER is not set: `cargo xtask test` builds and sets it");
    pays(Command::new(payer), Payer::Coinless, "r402 pays: ok");
}

#[test]
fn calls_are_paid_on_the_ledger_itself_in_its_own_coin() {
    let devnet = Devnet::start(&["--paid-on", "ledger", "--validators", "1", "--workers", "1"]);
    let body = chat_body("What is a coin?").to_string();
    let call = ["--json", "pay", "/v1/chat/completions", "--data", &body, "--token", "opg-devnet", "--max", "1"];
    for (scheme, more) in [("exact", [].as_slice()), ("upto", &[]), ("batch-settlement", &["--deposit", "1"])] {
        let said = devnet.og(&[&call, ["--scheme", scheme].as_slice(), more].concat());
        assert_eq!(said.code, 0, "{scheme}: {said:?}");
        let paid = said.json()["paid"].clone();
        assert_eq!(
            (&paid["scheme"], &paid["token"]),
            (&serde_json::json!(scheme), &serde_json::json!("OPG-devnet")),
            "{paid}"
        );
        let charged: u128 = paid["charged"].as_str().unwrap().parse().unwrap();
        assert!(charged > 0, "{paid}");
    }
    // By a transaction of its own the same coin goes to whoever may move it, as any wallet's does.
    assert_eq!(devnet.og(&["wallet", "approve", "--token", "opg-devnet", "--amount", "1"]).code, 0);
    let other = devnet.crash_and_restart(&["--workers", "1"]);
    let said = other.og(&[&call, ["--scheme", "exact"].as_slice()].concat());
    assert_eq!(said.code, 0, "it is kept: {said:?}");
}

#[test]
fn npms_client_pays_on_the_ledger_itself_by_every_scheme_and_sends_nothing() {
    let devnet = Devnet::start(&["--paid-on", "ledger", "--validators", "1", "--workers", "1"]);
    let mut client = node_script("OG_TEST_PAYERS", "x402_elsewhere.mjs");
    client.arg(devnet.text("gateway")).arg(devnet.ready["ledger"]["url"].as_str().unwrap());
    let coin = KnownToken::counted_in(Unit::Opg, Network::DEVNET_LEDGER).unwrap();
    client.arg(Payer::Funded(1).secret(&devnet)).arg(coin.address.to_string());
    let said = run(&mut client);
    assert!(said.code == 0 && said.stdout.contains("x402 elsewhere: ok"), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn calls_are_paid_on_a_devnets_base_and_on_its_ledger() {
    let devnet = Devnet::start(&["--paid", "--validators", "1", "--workers", "1"]);
    let body = chat_body("What is a chain?").to_string();
    let call = ["--json", "pay", "/v1/chat/completions", "--data", &body, "--max", "1"];
    let shown = devnet.og(&[&call, ["--dry-run"].as_slice()].concat()).json();
    let offers = shown["offers"].as_array().unwrap();
    let on = |network: &str| offers.iter().filter(|offer| offer["network"] == network).count();
    assert_eq!((on("eip155:8453"), on("eip155:10744001"), offers.len()), (5, 3, 8), "{shown}");
    let pays = |devnet: &Devnet| {
        for (token, network) in [("usdc", "eip155:8453"), ("opg-devnet", "eip155:10744001")] {
            let said = devnet.og(&[&call, ["--token", token, "--scheme", "exact"].as_slice()].concat());
            assert_eq!(said.code, 0, "{token}: {said:?}");
            assert_eq!(said.json()["body"]["og"]["payment"]["network"], network, "{token}");
        }
    };
    pays(&devnet);
    let status = devnet.og(&["status", "--json"]).json()["gateway"]["chains"].clone();
    assert_eq!((status[0]["away"].as_bool(), status[1]["away"].as_bool()), (Some(false), Some(false)), "{status}");
    pays(&devnet.crash_and_restart(&["--workers", "1"]));
}

#[test]
fn what_callers_paid_reaches_whoever_earned_it_once_their_receipts_stand() {
    let devnet = Devnet::start(&["--paid-on", "base", "--validators", "1", "--workers", "1"]);
    let balance = |who: &str| -> u128 {
        let said = devnet.og(&["wallet", "show", who, "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        said.json()["balance"].as_str().unwrap().parse().unwrap()
    };
    let before = ["publisher", "worker-1", "gateway"].map(balance);
    let (base, mut client) = (&devnet.ready["base"], python_script("x402_pays.py"));
    client.arg(devnet.text("gateway"));
    client.arg(base["url"].as_str().unwrap()).arg(base["keys"][0]["secret"].as_str().unwrap());
    let said = run(&mut client);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let earned = devnet.og(&["revenue", "--json"]).json();
    let charged: u128 = earned["days"].as_array().unwrap().iter().map(|day| opg(&day["opg"])).sum();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        let told = devnet.og(&["revenue", "--json"]).json();
        if opg(&told["held"]) == 0 && opg(&told["free"]) == 0 && balance("worker-1") > before[1] {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "not paid: {told}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let after = ["publisher", "worker-1", "gateway"].map(balance);
    let (publisher, worker, paid) = (after[0] - before[0], after[1] - before[1], before[2] - after[2]);
    assert!(publisher > 0 && worker > publisher, "{publisher} and {worker} of {charged}");
    assert_eq!(paid, charged, "a gateway pays what it charged, to the unit");
    let owed = devnet.og(&["wallet", "owed", "publisher", "--json"]).json();
    assert_eq!((opg(&owed["due"]), owed["by"].as_array().map(Vec::len)), (0, Some(0)), "nothing is left of it: {owed}");
}

#[test]
fn a_publisher_that_named_a_home_is_paid_there_on_base() {
    let devnet = Devnet::start(&["--paid", "--validators", "1", "--workers", "1"]);
    let said = |arguments: &[&str]| {
        let said = devnet.og(&[arguments, &["--json"]].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.json()
    };
    // The ledger's own no, which comes in the block, is the command's.
    let nobody = ["wallet", "home", "--key", "publisher", "--base", "0x0000000000000000000000000000000000000000"];
    let refused = devnet.og(&[nobody.as_slice(), &["--json"]].concat());
    let told = refused.json();
    let error = &told["error"];
    assert!(refused.code == 1 && error["code"] == "refused_in_block", "{refused:?}");
    assert!(error["message"].as_str().unwrap().contains("would be nobody's"), "{refused:?}");
    assert!(error["hint"].is_string() && refused.stderr.contains("hint: "), "{refused:?}");
    // Nobody's on either chain so far.
    let home = "0x7777777777777777777777777777777777777777";
    assert_eq!(said(&["wallet", "home", "--key", "publisher", "--base", home])["base"], home);
    let before = opg(&said(&["wallet", "show", "publisher"])["balance"]);
    let body = serde_json::json!({
        "model": "demo-chat", "max_tokens": 16, "messages": [{ "role": "user", "content": "Who is paid?" }],
    });
    let paid = said(&["pay", "/v1/chat/completions", "--data", &body.to_string(), "--max", "1", "--token", "usdc"]);
    let receipt = paid["receipt"].as_str().unwrap();
    let charged = opg(&paid["body"]["og"]["payment"]["charged_opg"]);

    // Its receipt stands, the gateway pays, the ledger settles, a relayer carries it, and anybody has it paid.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(180);
    let claimed = loop {
        let claimed = said(&["payout", "claim", "--of", home, "--key", "base/2"]);
        if opg(&claimed["amount"]) > 0 {
            break opg(&claimed["amount"]);
        }
        assert!(std::time::Instant::now() < deadline, "not paid: {claimed}, {receipt}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    assert!(claimed < charged, "its part of {charged}: {claimed}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let base = devnet.ready["base"]["url"].as_str().unwrap().to_owned();
    let chain = relayer::Chain::new(network::Client::default(), base);
    let asked = contracts::abi::IToken::balanceOfCall { account: home.parse().unwrap() };
    let held = runtime.block_on(chain.read(contracts::addresses::OPG, &asked)).unwrap();
    assert_eq!(held, payments::U256::from(claimed), "minted there, to the unit");
    assert_eq!(opg(&said(&["wallet", "show", "publisher"])["balance"]), before, "and nothing of it on the ledger");
    assert_eq!(opg(&said(&["payout", "claim", "--of", home, "--key", "base/2"])["amount"]), 0, "once");
}

fn opg(amount: &serde_json::Value) -> u128 {
    amount.as_str().unwrap().parse().unwrap()
}
