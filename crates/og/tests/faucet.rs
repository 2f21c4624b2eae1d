//! A devnet's faucet: a fixed sum to whoever asks, a typed refusal to whoever asks too often, and none where nobody turned it on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use network::{Bytes, Client, NetworkError, axum::http};
use payments::{Address, hex, signing::SignerKey};
use relayer::Chain;
use serde_json::{Value, json};
use support::{Devnet, og, run};

const OPG: u128 = 1_000_000_000_000_000_000;
const PATIENCE: Duration = Duration::from_secs(30);
const PAGE: &str = "https://app.example.org";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What a page's request is answered: status, body, and the headers that matter to it.
struct Answer {
    status: u16,
    body: Value,
    retry_after: Option<u64>,
    allowed: Option<String>,
}

fn asked(gateway: &str, body: String) -> Result<Answer, NetworkError> {
    let request = http::Request::post(format!("{gateway}/faucet")).header("content-type", "application/json");
    let request = request.header("origin", PAGE).body(Bytes::from(body)).unwrap();
    block_on(async {
        let answer = Client::default().ask(request).await?;
        let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, retry_after) = (answer.status.as_u16(), header("retry-after"));
        let (retry_after, allowed) =
            (retry_after.map(|text| text.parse().unwrap()), header("access-control-allow-origin"));
        let body = answer.body.whole(1 << 16).await?;
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default(), retry_after, allowed })
    })
}

fn give(gateway: &str, address: &str) -> Answer {
    asked(gateway, json!({ "address": address }).to_string()).unwrap()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["error"]["code"].as_str()), (status, Some(code)), "{}", answer.body);
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn held(devnet: &Devnet, who: &str) -> u128 {
    let said = devnet.og(&["wallet", "show", who, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["balance"].as_str().unwrap().parse().unwrap()
}

/// Its connections last as long as what runs them.
fn base(devnet: &Devnet) -> Chain {
    Chain::new(Client::default(), devnet.ready["base"]["url"].as_str().unwrap().to_owned())
}

/// An address that nobody had before.
fn newcomer(seed: u8) -> Address {
    SignerKey::from_secret([seed; 32]).unwrap().address()
}

#[test]
fn a_devnets_faucet_gives_everybody_the_same_and_says_when_it_gives_again() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let gateway = devnet.text("gateway");
    assert_eq!(devnet.text("faucet"), format!("{gateway}/faucet"));
    let first = newcomer(1);

    let given = give(gateway, &first.to_string());
    assert_eq!((given.status, given.body["opg"].as_str()), (200, Some("10")), "{}", given.body);
    assert_eq!(given.allowed.as_deref(), Some("*"), "pages ask it, as they ask the JSON-RPC");
    until("it is there", || held(&devnet, &first.to_string()) == 10 * OPG);
    assert_eq!(block_on(base(&devnet).balance(first)).unwrap(), OPG / 100);
    let again = give(gateway, &first.to_string().to_lowercase());
    refused(&again, 429, "faucet_address");
    assert!(again.retry_after.is_some_and(|seconds| (500..=600).contains(&seconds)), "{:?}", again.retry_after);
    assert_eq!(again.allowed.as_deref(), Some("*"), "and pages may read why not");

    // An og key has an account on the ledger, and nobody signs for it on Base.
    let before = held(&devnet, "bob");
    let said = devnet.og(&["faucet", "bob"]);
    assert!(said.code == 0 && said.stdout.starts_with("10 OPG to 0x"), "{said:?}");
    assert!(!said.stdout.contains("gas"), "{said:?}");
    until("bob has more", || held(&devnet, "bob") == before + 10 * OPG);
    let said = devnet.og(&["faucet", "bob"]);
    assert!(said.code == 1 && said.stderr.contains("refused with 429") && said.stderr.contains("again in"), "{said:?}");

    for body in ["", "{}", r#"{"address": "0x77", "amount": "1000"}"#] {
        refused(&asked(gateway, body.to_owned()).unwrap(), 400, "bad_body");
    }
    for nobody in ["bob", "0x77", "0x0000000000000000000000000000000000000a07"] {
        refused(&give(gateway, nobody), 400, "bad_address");
    }
    let long = asked(gateway, json!({ "address": "7".repeat(2_000) }).to_string()).unwrap();
    refused(&long, 413, "body_too_large");
    what_it_does_not_have(&devnet);
}

/// Its coins for gas go first, then its OPG.
fn what_it_does_not_have(devnet: &Devnet) {
    let gateway = devnet.text("gateway");
    let secret = devnet.ready["base"]["keys"][2]["secret"].as_str().unwrap();
    let key = SignerKey::from_secret(hex::decode_to_array(secret).unwrap()).unwrap();
    let call = relayer::Call { to: newcomer(9), data: relayer::Bytes::new() };
    block_on(async {
        let base = base(devnet);
        let all = base.balance(key.address()).await.unwrap();
        base.send(&call, all - OPG / 200, &key, PATIENCE).await.unwrap();
    });
    let second = newcomer(2).to_string();
    refused(&give(gateway, &second), 503, "faucet_gas");
    until("OPG is there all the same", || held(devnet, &second) == 10 * OPG);
    refused(&give(gateway, &second), 429, "faucet_address");

    let left = held(devnet, "faucet");
    let all_but_five = ((left - 5 * OPG) / OPG).to_string();
    let said = devnet.og(&["wallet", "pay", "--from", "faucet", "--to", "bob", "--amount", &all_but_five]);
    assert_eq!(said.code, 0, "{said:?}");
    until("it is nearly empty", || held(devnet, "faucet") < 10 * OPG);
    let third = newcomer(3).to_string();
    refused(&give(gateway, &third), 503, "faucet_empty");
    refused(&give(gateway, &third), 503, "faucet_empty");
}

/// A node by itself; gone when dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the gateway answers to whoever asks for something, once it listens.
fn started(join: &Path, gateway: &str, more: &[&str]) -> (Node, Answer) {
    let mut command = og();
    command.args(["node", "start", "--name", "gateway", "--join"]).arg(join).args(more);
    let node = Node(command.stdout(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + PATIENCE;
    loop {
        match asked(gateway, json!({ "address": newcomer(4).to_string() }).to_string()) {
            Ok(answer) => return (node, answer),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn nobody_has_a_faucet_who_was_not_told_to() {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let gateway = devnet.text("gateway").to_owned();
    let dir = devnet.dir();
    let _folder = devnet.stop();
    let join = dir.join("network.json");
    let (node, answer) = started(&join, &gateway, &[]);
    assert_eq!(answer.status, 404, "{}", answer.body);
    let said = run(og().args(["--gateway", &gateway, "faucet", &newcomer(4).to_string()]));
    assert!(said.code == 1 && said.stderr.contains("this gateway has no faucet"), "{said:?}");
    drop(node);

    let (node, answer) = started(&join, &gateway, &["--faucet"]);
    // No validator runs, so nothing is paid, and nothing is held against whoever asked.
    refused(&answer, 503, "faucet_failed");
    refused(&give(&gateway, &newcomer(4).to_string()), 503, "faucet_failed");
    drop(node);

    let start = |name: &str| run(og().args(["node", "start", "--faucet", "--name", name, "--join"]).arg(&join));
    let said = start("validator-1");
    assert!(said.code == 1 && said.stderr.contains("a devnet's gateway has its faucet"), "{said:?}");
    std::fs::remove_file(dir.join("keys/faucet.json")).unwrap();
    let said = start("gateway");
    assert!(said.code == 1 && said.stderr.contains("no faucet whose key is in"), "{said:?}");
}
