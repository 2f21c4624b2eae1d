//! A publisher says what its model costs and who earns with it; callers pay that, and everybody gets exactly its share.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Devnet, Said, said};

const CHAT: &str = "/v1/chat/completions";
/// Until a receipt stands, and its shares are paid.
const PATIENCE: Duration = Duration::from_secs(180);
/// A thousandth of an OPG.
const MILLI: u128 = 1_000_000_000_000_000;

#[track_caller]
fn refused(devnet: &Devnet, arguments: &[&str], words: &[&str]) {
    let said = devnet.og(arguments);
    assert!(said.code == 1 && words.iter().all(|word| said.stderr.contains(word)), "{arguments:?}: {said:?}");
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn artefact(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name);
    path.to_str().unwrap().to_owned()
}

/// A call at the level that costs what the publisher asks for, and no more.
fn body() -> String {
    let messages = json!([{ "role": "user", "content": "Who is paid?" }]);
    json!({ "model": "demo-chat", "max_tokens": 8, "messages": messages, "og": { "assurance": "signed" } }).to_string()
}

fn offered(devnet: &Devnet) -> Said {
    devnet.og(&["pay", CHAT, "--data", &body(), "--dry-run", "--json"])
}

/// What that costs, in base units of USDC.
fn cost(devnet: &Devnet) -> u128 {
    let shown = offered(devnet).json();
    let is_it = |offer: &&Value| offer["scheme"] == "exact" && offer["token"] == "USDC";
    units(&shown["offers"].as_array().unwrap().iter().find(is_it).unwrap()["max"])
}

fn units(value: &Value) -> u128 {
    value.as_str().unwrap().parse().unwrap()
}

/// What is no publication is refused by name, and says what would be one.
fn refuses_what_is_no_publication(devnet: &Devnet, (parent, chat): (&str, &str)) {
    let demo = ["model", "publish", chat, "--name", "demo-chat"];
    let (too_much, half) = (format!("{parent}=10%"), "bob=50");
    for (more, words) in [
        (["--licence", "mit"].as_slice(), ["said together with a price", "--price-call 0"]),
        (&["--price-call", "1", "--split", half], ["no share", "bob=12.5%"]),
        (&["--price-call", "1", "--split", "nobody=1%"], ["no key is called", "og keys list"]),
        (&["--price-call", "1", "--parent", "nothing=1%"], ["no model \"nothing\"", "og model list"]),
        (&["--price-call", "1", "--split", "bob=95%", "--parent", &too_much], ["SharesTooLarge", "100% together"]),
        (&["--price-call", "1", "--key", "alice"], ["RootPublished", "said once"]),
        (&["--key", "base/1"], ["a wallet publishes with a price", "--price-call 0"]),
        (&[], ["is published already, by 0x", "og model show"]),
    ] {
        refused(devnet, &[&demo, more].concat(), &words);
    }
}

/// Prices and offers change as their publisher likes, and who earns does not.
fn changes_its_price_and_its_offer(devnet: &Devnet) {
    refused(
        devnet,
        &["model", "price", "demo-chat", "--price-call", "1", "--key", "bob"],
        &["PublisherOnly", "--key names"],
    );
    refused(devnet, &["model", "price", "demo-chat"], &["no price is said", "--price-output"]);
    let in_dollars = ["model", "price", "demo-chat", "--price-call", "0.02", "--unit", "usd"];
    refused(devnet, &in_dollars, &["is in OPG still", "anew"]);
    said(devnet, &[&in_dollars, ["--price-output", "0"].as_slice()].concat());
    until("it costs two cents", || cost(devnet) == 20_000);
    said(devnet, &["model", "retire", "demo-chat"]);
    until("it is retired", || offered(devnet).code == 1);
    let refused = offered(devnet);
    assert!(refused.stdout.contains("its publisher offers it no more"), "{refused:?}");
    assert!(devnet.og(&["model", "list"]).stdout.contains("retired"));
    said(devnet, &["model", "retire", "demo-chat", "--undo"]);
    until("it is offered again", || offered(devnet).code == 0);
    until("it costs what it did", || cost(devnet) == 20_000);
}

#[test]
fn what_a_publisher_asks_for_is_paid_and_everybody_gets_exactly_its_share() {
    let devnet = Devnet::start(&["--paid-on", "base", "--validators", "1", "--workers", "1"]);
    let elder = devnet.ready["base"]["keys"][1]["address"].as_str().unwrap().to_owned();
    let (risk, chat) = (artefact("risk/risk-ordered.ogm"), artefact("demo/demo-integer.ogm"));
    // A wallet publishes what the other model is made from.
    let first = ["model", "publish", &risk, "--name", "risk-floats", "--key", "base/1", "--price-call", "0"];
    let parent = said(&devnet, &first)["root"].as_str().unwrap().to_owned();
    refuses_what_is_no_publication(&devnet, (&parent, &chat));

    // The genesis published this one, with a name alone.
    let of_parent = format!("{parent}=10%");
    let terms = ["--price-call", "0.5", "--price-output", "1000", "--split", "bob=25%", "--parent", &of_parent];
    let publish = [["model", "publish", &chat, "--name", "demo-chat", "--licence", "mit"].as_slice(), &terms].concat();
    said(&devnet, &publish);
    // Half an OPG and eight tokens, at ten cents an OPG.
    until("it costs what its publisher says", || cost(&devnet) == 50_800);
    refused(&devnet, &publish, &["RootPublished", "og model price"]);
    let told = devnet.og(&["model", "show", "demo-chat"]).stdout;
    for text in [
        "0.5 OPG a call, 1000 OPG a million tokens out",
        "20% to the publisher",
        "25% to 0x",
        &format!("10% to {parent}"),
        "mit",
    ] {
        assert!(told.contains(text), "{text} in {told}");
    }

    let balances =
        || ["publisher", "bob", &elder].map(|who| units(&said(&devnet, &["wallet", "show", who])["balance"]));
    let before = balances();
    let body = body();
    let call = ["pay", CHAT, "--data", &body, "--max", "1", "--token", "usdc", "--scheme", "exact"];
    let paid = said(&devnet, &call);
    let (charged, part) = (508 * MILLI, 508 * MILLI / 5);
    assert_eq!(units(&paid["paid"]["charged"]), 50_800, "{paid}");
    assert_eq!(units(&paid["body"]["og"]["payment"]["charged_opg"]), charged, "{paid}");
    // A fifth of a charge is the publisher's part: a quarter of that is bob's, a tenth the wallet's.
    let shares = [part * 65 / 100, part / 4, part / 10];
    let earned = said(&devnet, &["revenue"]);
    let day = &earned["days"][0];
    assert_eq!((units(&day["opg"]), units(&day["yours"]), units(&earned["held"])), (charged, shares[0], shares[0]));
    assert_eq!((&earned["shares"]["publisher"], &earned["shares"]["worker"]), (&json!(200_000), &json!(730_000)));
    assert_eq!(earned["owed"].as_array().unwrap().len(), 1, "{earned}");

    changes_its_price_and_its_offer(&devnet);
    let terms = said(&devnet, &["model", "show", "demo-chat"])["terms"].clone();
    let found = (&terms["price"]["unit"], &terms["splits"][0]["millionths"], &terms["parents"][0]["root"]);
    assert_eq!(found, (&json!("usd"), &json!(250_000), &json!(parent)), "{terms}");

    let gained = || {
        let after = balances();
        [0, 1, 2].map(|place| after[place] - before[place])
    };
    until("everybody is paid", || gained().iter().all(|gain| *gain > 0));
    assert_eq!(gained(), shares, "to the unit");
}
