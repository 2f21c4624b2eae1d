//! Base Sepolia, where payments are tried out: a gateway is paid there by every scheme, in the dollar of that chain.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use contracts::addresses;
use devchain::{BaseStart, Config, DevChain, PoolLimits};
use evm::Genesis;
use payments::{Address, Bytes, U256, hex, price::Unit, scheme::KnownToken, signing::SignerKey, wire};
use rpc::{Limits, Server};
use serde_json::Value;
use support::{Devnet, chat_body, node_script, run};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A chain of one node in this process, with Sepolia's number, x402's contracts and its dollar; gone when dropped.
struct Sepolia {
    url: String,
    _running: (Server, DevChain, Runtime, TempDir),
}

impl Sepolia {
    fn start(funded: Vec<Address>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            chain: devchain::plain(wire::Network::BASE_SEPOLIA.chain_id()),
            genesis: beginning(funded),
            directory: folder.path().to_owned(),
            beneficiary: Address::ZERO,
            clock: || network::now_ms() / 1_000,
            pool: PoolLimits::default(),
            states: 64,
        };
        let (server, chain) = runtime.block_on(async {
            let (chain, _running) = devchain::open(config).await.unwrap();
            let (listen, node) = ((Ipv4Addr::LOCALHOST, 0).into(), Arc::new(chain.clone()));
            (Server::start(listen, node, "og/test".to_owned(), Limits::default()).await.unwrap(), chain)
        });
        Self { url: server.url(), _running: (server, chain, runtime, folder) }
    }

    /// Makes blocks, as a chain does, by payments of one account to itself: what is paid counts when some lie on it.
    fn makes_blocks(&self, secret: &str) {
        let key = SignerKey::from_secret(hex::decode_to_array(secret).unwrap()).unwrap();
        let chain = relayer::Chain::new(network::Client::default(), self.url.clone());
        self._running.2.spawn(async move {
            let call = relayer::Call { to: key.address(), data: Bytes::new() };
            loop {
                let _refused = chain.send(&call, 1, &key, Duration::from_secs(5)).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
}

fn dollar() -> &'static KnownToken {
    KnownToken::counted_in(Unit::Usd, wire::Network::BASE_SEPOLIA).unwrap()
}

/// As a devnet's Base begins, with the dollar where Sepolia has it, called what it is called there.
fn beginning(funded: Vec<Address>) -> Genesis {
    let whole = U256::from(10_u64).pow(U256::from(18_u64));
    let start = BaseStart {
        timestamp: network::now_ms() / 1_000,
        funded,
        coins: whole,
        opg: whole,
        dollars: U256::from(100_000_000_u64),
        ledger_chain_id: 1,
        network_key: [0; 192],
    };
    let mut genesis = start.genesis().unwrap();
    let mut placed = genesis.accounts.remove(&addresses::USDC).unwrap();
    placed.code = called_usdc(&placed.code);
    genesis.accounts.insert(dollar().address, placed);
    genesis
}

/// The dollar's code with another name: how long what `name` answers is, and its bytes.
fn called_usdc(code: &[u8]) -> Bytes {
    let (length, put) = (|count: usize| format!("60{count:02x}82527f"), |text: &str| format!("{text:0<16}"));
    let of = |text: &str| length(text.len()) + &put(&hex::encode(text));
    let code = hex::encode(code);
    assert_eq!(code.matches(&of("USD Coin")).count(), 1, "it says its name once");
    hex::decode(code.replace(&of("USD Coin"), &of("USDC"))).unwrap().into()
}

/// A devnet that is paid there, whose keys are funded there.
fn paid() -> (Devnet, Sepolia) {
    let devnet = Devnet::start(&["--validators", "1", "--workers", "1"]);
    let keys = devnet.ready["base"]["keys"].as_array().unwrap();
    let sepolia = Sepolia::start(keys.iter().map(|key| key["address"].as_str().unwrap().parse().unwrap()).collect());
    sepolia.makes_blocks(keys[6]["secret"].as_str().unwrap());
    let paid = ["--paid-on", "base-sepolia", "--paid-rpc", &sepolia.url, "--workers", "1"];
    (devnet.crash_and_restart(&paid), sepolia)
}

#[test]
fn npms_client_pays_on_base_sepolia_by_every_scheme_and_sends_nothing() {
    let (devnet, sepolia) = paid();
    let mut client = node_script("OG_TEST_PAYERS", "x402_elsewhere.mjs");
    client.arg(devnet.text("gateway")).arg(&sepolia.url);
    client.arg(devnet.ready["base"]["keys"][1]["secret"].as_str().unwrap()).arg(dollar().address.to_string());
    let said = run(&mut client);
    assert!(said.code == 0 && said.stdout.contains("x402 elsewhere: ok"), "{}\n{}", said.stdout, said.stderr);
}

#[test]
fn the_wallet_pays_there_in_that_chains_dollar_and_in_no_other() {
    let (devnet, sepolia) = paid();
    let body = chat_body("What is tried out?").to_string();
    let call = ["--json", "pay", "/v1/chat/completions", "--data", &body, "--rpc", &sepolia.url, "--max", "1"];
    let said = devnet.og(&[&call, ["--token", "usdc-sepolia"].as_slice()].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let paid = said.json()["paid"].clone();
    assert_eq!((&paid["scheme"], &paid["token"]), (&Value::from("exact"), &Value::from("USDC-sepolia")), "{paid}");
    assert_eq!(said.json()["body"]["og"]["payment"]["network"], "eip155:84532");
    let said = devnet.og(&[&call, ["--token", "usdc"].as_slice()].concat());
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some("no_payable_offer")), "{said:?}");

    let chat = format!("{}/v1/chat/completions", devnet.text("gateway"));
    let shown = devnet.og(&["--json", "pay", &chat, "--data", &body, "--dry-run"]).json();
    let offers = shown["offers"].as_array().unwrap();
    assert!(offers.len() == 3 && offers.iter().all(|offer| offer["network"] == "eip155:84532"), "{shown}");
}
