//! `og pay` on a devnet that takes payments: every scheme, every limit, and what is left of a channel whose state was lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use serde_json::{Value, json};
use support::{Devnet, Said};

const CHAT: &str = "/v1/chat/completions";

struct Paying {
    devnet: Devnet,
}

impl Paying {
    fn start() -> Self {
        Self { devnet: Devnet::start(&["--paid-on", "base", "--validators", "1", "--workers", "1"]) }
    }

    fn said(&self, arguments: &[&str]) -> Said {
        self.devnet.og(&[&["--json"], arguments].concat())
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let said = self.said(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.json()
    }

    /// Asks the demo model for a few words, with further arguments.
    fn chat(&self, question: &str, more: &[&str]) -> Said {
        let body = json!({"model": "demo-chat", "max_tokens": 8, "messages": [{"role": "user", "content": question}]});
        self.said(&[&["pay", CHAT, "--data", &body.to_string()], more].concat())
    }

    fn paid(&self, question: &str, more: &[&str]) -> Value {
        let said = self.chat(question, more);
        assert_eq!(said.code, 0, "{more:?}: {said:?}");
        said.json()
    }

    #[track_caller]
    fn refused(&self, more: &[&str], code: &str) -> String {
        let said = self.chat("What is a price?", more);
        assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some(code)), "{more:?}: {said:?}");
        assert!(said.stderr.contains("error: "), "people read it too: {said:?}");
        let error = said.json()["error"].clone();
        [&error["message"], &error["hint"]].map(|text| text.as_str().unwrap_or_default()).join("; hint: ")
    }

    fn spent(&self) -> Value {
        self.done(&["wallet", "limits"])["limits"][0]["spent_today"].clone()
    }
}

fn units(value: &Value) -> u128 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

/// Base units of USDC as a person writes them.
fn tokens(units: u128) -> String {
    format!("{}.{:06}", units / 1_000_000, units % 1_000_000)
}

/// The other way.
fn units_of(tokens: &str) -> u128 {
    let (whole, part) = tokens.split_once('.').unwrap_or((tokens, ""));
    format!("{whole}{part:0<6}").parse().unwrap()
}

fn answered(said: &Value) {
    assert!(said["body"]["choices"][0]["message"]["content"].is_string(), "{said}");
    assert_eq!(said["status"], 200);
    assert!(said["receipt"].as_str().is_some_and(|id| id.len() == 64), "{said}");
}

#[test]
fn a_call_is_paid_within_its_limits_and_never_beyond() {
    let net = Paying::start();
    // Nobody said what may be spent.
    let said = net.refused(&[], "no_limit");
    assert!(said.contains("og wallet limit --key base/0 --token USDC"), "{said}");
    assert!(net.refused(&["--max", "0.000001"], "over_max").contains("--max allows 0.000001"));
    let shown = net.paid("What is a price?", &["--dry-run"]);
    let offers = shown["offers"].as_array().unwrap();
    let schemes: Vec<&str> = offers.iter().map(|offer| offer["scheme"].as_str().unwrap()).collect();
    assert_eq!(schemes.iter().filter(|scheme| **scheme == "batch-settlement").count(), 2, "{schemes:?}");
    assert!(offers.iter().all(|offer| offer["max"].is_string() && offer["payable"] == false), "no limit yet: {shown}");

    // A limit for the day, of which two calls are paid and no third.
    let one = net.paid("What is a price?", &["--max", "1", "--token", "usdc"]);
    answered(&one);
    let paid = &one["paid"];
    assert_eq!((&paid["scheme"], &paid["token"], &paid["settled"]), (&json!("exact"), &json!("USDC"), &json!(true)));
    assert!(units(&paid["charged"]) > 0 && units(&paid["charged"]) <= units(&paid["max"]));
    assert!(paid["transaction"].as_str().unwrap().starts_with("0x"));
    let (max, most) = (paid["max_tokens"].as_str().unwrap(), units(&paid["max"]));
    let per_day = tokens(3 * most + most / 2);
    net.done(&["wallet", "limit", "--per-call", max, "--per-day", &per_day]);
    assert_eq!(net.spent(), *max, "what was spent before the limit counts too");
    let paid = net.paid("What is a price?", &["--token", "USDC"]);
    answered(&paid);
    // What its receipt opens to is kept, and shown to nobody who did not ask.
    let opening = net.devnet.dir().join(format!("receipts/{}.json", paid["receipt"].as_str().unwrap()));
    assert!(opening.exists() && paid["body"]["og"]["opening"].is_null(), "{paid}");
    answered(&net.paid("What is a price?", &["--token", "USDC"]));
    let over = net.refused(&["--token", "USDC"], "over_day_limit");
    assert!(over.contains("left of today's"), "{over}");
    net.done(&["wallet", "limit", "--per-call", "0.000001", "--per-day", "1"]);
    net.refused(&["--token", "USDC", "--max", "1"], "over_call_limit");
    net.done(&["wallet", "limit", "--off"]);
    net.refused(&["--token", "USDC"], "no_limit");

    // What costs nothing is answered, and nothing is paid for it; a poor key pays nothing.
    let free = net.done(&["pay", "/v1/models"]);
    assert!(free["paid"].is_null() && free["body"]["data"].is_array(), "{free}");
    net.done(&["keys", "new", "poor"]);
    assert!(
        net.refused(&["--key", "poor", "--max", "1", "--token", "usdc"], "insufficient_funds").contains("holds 0 USDC")
    );
    let nobody = net.chat("Who?", &["--key", "nobody", "--max", "1"]);
    assert!(nobody.code == 1 && nobody.stderr.contains("no key \"nobody\""), "{nobody:?}");
    let base = net.devnet.ready["base"]["url"].as_str().unwrap();
    for (arguments, word) in [
        (["wallet", "limit", "--per-call", "2", "--per-day", "1"].as_slice(), "more than 1 for a day"),
        (["wallet", "limit"].as_slice(), "no limit is said"),
        (["wallet", "limit", "--per-call", "x", "--per-day", "1"].as_slice(), "no amount of USDC"),
        (["wallet", "limit", "--token", "DOGE", "--off"].as_slice(), "no token that this wallet knows"),
        (["wallet", "approve", "--token", "USDC-sepolia"].as_slice(), "no chain to tell"),
        (["wallet", "approve", "--token", "USDC-sepolia", "--rpc", base].as_slice(), "the RPC is of chain 8453"),
    ] {
        let said = net.said(arguments);
        assert!(said.code == 1 && said.stderr.contains(word), "{arguments:?}: {said:?}");
    }
}

/// A deposit too may come with a signature that lets Permit2 move it.
#[track_caller]
fn brings_its_approval(net: &Paying) {
    let other = ["--key", "base/1", "--max", "1", "--token", "OPG", "--scheme", "batch-settlement", "--deposit", "1"];
    let opened = net.paid("What is a deposit?", &other);
    answered(&opened);
    assert_eq!(units(&opened["paid"]["deposit"]), 1_000_000_000_000_000_000);
    let dollars =
        ["--key", "base/1", "--max", "1", "--token", "usdc", "--scheme", "batch-settlement", "--deposit", "1"];
    answered(&net.paid("And of dollars?", &dollars));
    for which in [[].as_slice(), &[CHAT]] {
        let said = net.said(&[&["wallet", "withdraw", "--key", "base/1"], which].concat());
        assert!(said.code == 1 && said.stderr.contains("more than one channel"), "{which:?}: {said:?}");
    }
}

#[test]
fn sessions_permits_and_channels_are_paid_and_drawn_on() {
    let net = Paying::start();
    let max = ["--max", "1"];
    // Permit2 moves nothing before it may: it is let to by a signature that comes with the payment, or by a transaction.
    let sponsored = net.paid("What is gas?", &["--max", "1", "--token", "OPG", "--scheme", "exact"]);
    answered(&sponsored);
    assert_eq!((&sponsored["paid"]["scheme"], &sponsored["paid"]["settled"]), (&json!("exact"), &json!(true)));
    assert!(sponsored["paid"]["transaction"].is_string(), "{sponsored}");
    net.done(&["wallet", "approve", "--key", "base/0"]);
    let permit = net.paid("What is a permit?", &["--max", "1", "--token", "OPG", "--scheme", "exact"]);
    answered(&permit);
    assert_eq!((&permit["paid"]["scheme"], &permit["paid"]["token"]), (&json!("exact"), &json!("OPG")));

    let opened = net.paid("What is a session?", &["--max", "1", "--scheme", "upto"]);
    answered(&opened);
    assert_eq!(opened["paid"]["max_tokens"], "0.1", "the session's cap");
    assert!(units(&opened["paid"]["charged"]) < units(&opened["paid"]["max"]));
    let drawn = net.paid("And again?", &[]);
    answered(&drawn);
    assert!(drawn["paid"].is_null(), "nothing is signed for it: {drawn}");
    assert!(units(&drawn["body"]["og"]["payment"]["charged"]) > 0);

    // A channel is opened only where a deposit is named, large enough.
    let channel = ["--token", "usdc", "--scheme", "batch-settlement"];
    net.refused(&[channel.as_slice(), &max].concat(), "deposit_required");
    net.refused(&[channel.as_slice(), &max, &["--deposit", "0.000001"]].concat(), "deposit_too_small");
    let opened = net.paid("What is a channel?", &[channel.as_slice(), &max, &["--deposit", "1"]].concat());
    answered(&opened);
    assert_eq!(units(&opened["paid"]["deposit"]), 1_000_000);
    // From now on the open channel is what calls are paid by, whatever else is offered.
    let second = net.paid("What is a voucher?", &[channel.as_slice(), &max].concat());
    answered(&second);
    assert!(second["paid"]["deposit"].is_null());

    // The folder forgets the channel: the chain still has it, and the gateway shows our own voucher for what it charged.
    let file = net.devnet.dir().join("spending.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let before = units(&kept["channels"][0]["charged"]);
    assert!(before > 0 && kept["channels"].as_array().unwrap().len() == 1, "{kept}");
    kept["channels"] = json!([]);
    std::fs::write(&file, kept.to_string()).unwrap();
    answered(&net.paid("What is forgotten?", &[channel.as_slice(), &max].concat()));
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let channel = &kept["channels"][0];
    assert!(units(&channel["charged"]) > before && units(&channel["signed"]) >= units(&channel["charged"]), "{kept}");

    // What is left comes back; a channel without anything in it is none.
    let listed = net.done(&["wallet", "channels"])["channels"][0].clone();
    let left = listed["left"].as_str().unwrap().to_owned();
    assert!(left.starts_with("0.99") && listed["token"] == "USDC", "{listed}");
    let over = net.said(&["wallet", "refund", CHAT, "--amount", "2"]);
    assert!(over.code == 1 && over.stderr.contains("the server gave nothing back"), "{over:?}");
    let some = net.done(&["wallet", "refund", CHAT, "--amount", "0.5"]);
    assert_eq!(some["refunded_tokens"], "0.5", "{some}");
    let all = net.done(&["wallet", "refund", CHAT]);
    assert_eq!(units(&all["refunded"]) + 500_000, units_of(&left), "{all}");
    let none = net.said(&["wallet", "refund", CHAT]);
    assert!(none.code == 1 && none.stderr.contains("no channel with this server"), "{none:?}");
    assert!(none.stderr.contains("og pay --deposit opens one"), "{none:?}");
    let free = net.said(&["wallet", "refund", "/v1/models"]);
    assert!(free.code == 1 && free.stderr.contains("no channel with this server"), "{free:?}");

    brings_its_approval(&net);

    // As people see it: the answer as it streams, and what it cost beside it.
    let body =
        json!({"model": "demo-chat", "max_tokens": 8, "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let text = net.devnet.og(&[
        "pay",
        CHAT,
        "--data",
        &body.to_string(),
        "--max",
        "1",
        "--token",
        "usdc",
        "--scheme",
        "exact",
    ]);
    assert!(text.code == 0 && text.stdout.contains("data: [DONE]"), "{text:?}");
    assert!(text.stderr.contains("paid     ") && text.stderr.contains(" by exact to 0x"), "{text:?}");
    assert!(text.stderr.contains("og receipt verify "), "{text:?}");
}
