//! A Base whose blocks are taken back, as anvil's can be: what the gateway settled there is settled once, and what is not there is not
//! served for.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "support/anvil.rs"]
mod anvil;
mod support;

use anvil::{Anvil, until};
use contracts::{abi::IToken, addresses};
use devchain::BaseStart;
use evm::Genesis;
use payments::{Address, U256};
use serde_json::{Map, Value, json};
use support::{Devnet, Said};

/// Blocks on top of what counts.
const DEPTH: u64 = 4;
const DOLLAR: u64 = 1_000_000;

/// A devnet's Base as anvil reads it.
fn beginning(funded: &[Address]) -> Value {
    let whole = U256::from(10_u64).pow(U256::from(18_u64));
    let start = BaseStart {
        timestamp: network::now_ms() / 1_000,
        funded: funded.to_vec(),
        coins: whole,
        opg: whole,
        dollars: U256::from(100 * DOLLAR),
        ledger_chain_id: 1,
        network_key: [0; 192],
    };
    let genesis: Genesis = start.genesis().unwrap();
    let slot = |(slot, value): (&U256, &U256)| (format!("{slot:#066x}"), json!(format!("{value:#066x}")));
    let accounts = genesis.accounts.iter().map(|(address, account)| {
        let storage: Map<String, Value> = account.storage.iter().map(slot).collect();
        let nonce = format!("{:#x}", account.nonce);
        let account = json!({ "balance": account.balance, "nonce": nonce, "code": account.code, "storage": storage });
        (address.to_string(), account)
    });
    let (zero, alloc) = (format!("{:#066x}", 0), accounts.collect::<Map<_, _>>());
    json!({
        "config": { "chainId": 8453 }, "nonce": "0x0", "timestamp": format!("{:#x}", genesis.timestamp),
        "extraData": "0x", "gasLimit": "0x1c9c380", "difficulty": "0x0", "mixHash": zero,
        "coinbase": Address::ZERO, "alloc": alloc, "number": "0x0", "gasUsed": "0x0", "parentHash": zero,
        "baseFeePerGas": "0x3b9aca00",
    })
}

fn dollars(anvil: &Anvil, account: Address) -> u64 {
    u64::try_from(anvil.read(addresses::USDC, &IToken::balanceOfCall { account })).unwrap()
}

/// A devnet that is paid on anvil, where blocks count that have `DEPTH` more on top of them; its payer, and who is paid.
struct Stage {
    devnet: Devnet,
    anvil: Anvil,
    payer: Address,
    payee: Address,
}

impl Stage {
    fn set() -> Self {
        let devnet = Devnet::start(&["--paid-on", "base", "--validators", "1", "--workers", "1"]);
        let keys = devnet.ready["base"]["keys"].as_array().unwrap().clone();
        let funded: Vec<Address> = keys.iter().map(|key| key["address"].as_str().unwrap().parse().unwrap()).collect();
        let begin = devnet.dir().join("anvil.json");
        std::fs::write(&begin, beginning(&funded).to_string()).unwrap();
        let anvil = Anvil::start(&["--hardfork", "osaka", "--init", begin.to_str().unwrap()]);
        let file = devnet.dir().join("payments.json");
        let mut written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        written["chains"][0]["confirmations"] = DEPTH.into();
        std::fs::write(&file, written.to_string()).unwrap();
        let devnet = devnet.crash_and_restart(&["--base-rpc", anvil.rpc.url(), "--workers", "1"]);
        until("there are blocks to take back", || anvil.height() > 2);
        Self { payer: funded[0], payee: funded[4], devnet, anvil }
    }

    /// Pays for a call in dollars.
    fn pay(&self, scheme: &[&str]) -> Said {
        let body = json!({
            "model": "demo-chat", "max_tokens": 8, "messages": [{ "role": "user", "content": "What is settled?" }],
        });
        let (body, url) = (body.to_string(), self.anvil.rpc.url());
        let call = ["pay", "/v1/chat/completions", "--data", &body, "--token", "usdc", "--rpc", url, "--json"];
        self.devnet.og(&[&call, scheme].concat())
    }
}

#[test]
fn a_settlement_that_a_reorganisation_took_away_is_made_again_and_once() {
    let stage = Stage::set();
    let (anvil, payee) = (&stage.anvil, stage.payee);
    let before = (dollars(anvil, stage.payer), dollars(anvil, payee));
    let said = stage.pay(&["--scheme", "exact", "--max", "1"]);
    assert_eq!(said.code, 0, "{said:?}");
    for times in 1..=2 {
        until("the payment is in a block", || dollars(anvil, payee) > before.1);
        anvil.take_back(2);
        assert_eq!(dollars(anvil, payee), before.1, "taken back, {times}");
    }
    until("it is in a block again", || dollars(anvil, payee) > before.1);
    let (height, sent) = (anvil.height(), anvil.sent(payee));
    until("it lies deep", || anvil.height() > height + DEPTH + 6);
    let charged = dollars(anvil, payee) - before.1;
    assert_eq!(before.0 - dollars(anvil, stage.payer), charged, "what one lost the other has");
    assert_eq!(said.json()["paid"]["charged"].as_str().map(str::to_owned), Some(charged.to_string()), "{said:?}");
    assert_eq!(anvil.sent(payee), sent, "and nothing more is sent once it lies deep");
}

#[test]
fn a_deposit_that_a_reorganisation_took_away_is_not_served_for() {
    let stage = Stage::set();
    let (anvil, before) = (&stage.anvil, dollars(&stage.anvil, stage.payer));
    let said = std::thread::scope(|scope| {
        let paying = scope.spawn(|| stage.pay(&["--scheme", "batch-settlement", "--deposit", "1", "--max", "1"]));
        until("the deposit is in a block", || dollars(anvil, stage.payer) < before);
        anvil.take_back(2);
        paying.join().unwrap()
    });
    // It was deposited again before anything was served, or nothing was.
    let is_there = || dollars(anvil, stage.payer) == before - DOLLAR;
    if said.code == 0 {
        assert!(is_there(), "served for nothing: {said:?}");
    }
    let again = stage.pay(&["--scheme", "batch-settlement", "--deposit", "1", "--max", "1"]);
    assert_eq!(again.code, 0, "{said:?}\n{again:?}");
    assert!(is_there(), "one deposit serves both calls, {} of {before} are left", dollars(anvil, stage.payer));
}
