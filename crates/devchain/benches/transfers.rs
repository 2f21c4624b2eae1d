//! Transfers a second, sent as signed JSON-RPC batches, until all are in blocks.
//!
//! Without arguments on a chain of its own, in a folder made for it; with `OG_BENCH_URL` and `OG_BENCH_KEY` on any other node, such as
//! anvil, for comparison. Signing is not part of the time; decoding, recovering senders, executing and the disk are. A sender's
//! transfers go over one connection in the order of their nonces, because not every node lets one wait for another.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at what it did not expect, and tells"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use devchain::{Config, FundedKey, PoolLimits};
use k256::ecdsa::SigningKey;
use network::Client;
use rpc::{Limits, Server};
use serde_json::{Value, json};

const SENDERS: u32 = 64;
const BATCH: usize = 100;
const CONNECTIONS: usize = 8;
const ETHER: u128 = 1_000_000_000_000_000_000;

#[tokio::main]
async fn main() {
    let (url, key) = match (std::env::var("OG_BENCH_URL"), std::env::var("OG_BENCH_KEY")) {
        (Ok(url), Ok(key)) => (url, key.parse::<B256>().unwrap()),
        _ => return own().await,
    };
    measure(&Node::at(url).await, key).await;
}

/// The same on a chain of this process.
async fn own() {
    let folder = tempfile::tempdir().unwrap();
    let rich = FundedKey::derive(&[9; 32], 0);
    let config = Config {
        chain: devchain::plain(8_453),
        genesis: devchain::genesis(1, [rich.address], 1_000_000 * ETHER),
        directory: folder.path().to_owned(),
        beneficiary: Address::ZERO,
        clock: || network::now_ms() / 1_000,
        pool: PoolLimits::default(),
        states: 1_024,
    };
    let (chain, running) = devchain::open(config).await.unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(listen, Arc::new(chain.clone()), "og/bench", Limits::default()).await.unwrap();
    measure(&Node::at(server.url()).await, rich.secret).await;
    server.stop().await;
    drop(chain);
    let _ = tokio::time::timeout(Duration::from_secs(5), running).await;
}

async fn measure(node: &Node, rich: B256) {
    let senders: Vec<FundedKey> = (0..SENDERS).map(|index| FundedKey::derive(&[3; 32], index)).collect();
    let rich_key = SigningKey::from_slice(rich.as_slice()).unwrap();
    let first = node.nonce(Address::from_public_key(rich_key.verifying_key())).await;
    let funding = (first..).zip(&senders).map(|(nonce, sender)| node.signed(rich, nonce, sender.address, 10 * ETHER));
    node.send(&funding.collect::<Vec<_>>()).await;
    node.wait(senders.last().unwrap().address, |_, balance| !balance.is_zero()).await;

    let each = std::env::var("OG_BENCH_EACH").map_or(300, |text| text.parse().unwrap());
    let mut nonces = Vec::new();
    for sender in &senders {
        nonces.push(node.nonce(sender.address).await);
    }
    let to = Address::repeat_byte(0x77);
    let of_connection = |connection: usize| -> Vec<String> {
        let own = || senders.iter().zip(&nonces).skip(connection).step_by(CONNECTIONS);
        let of_round = |round: u64| own().map(move |(sender, first)| (sender, first + round));
        (0..each).flat_map(of_round).map(|(sender, nonce)| node.signed(sender.secret, nonce, to, 1)).collect()
    };
    let signed: Vec<Vec<String>> = (0..CONNECTIONS).map(of_connection).collect();
    let count = u64::from(SENDERS) * each;

    let started = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    for own in signed {
        let node = node.clone();
        sending.spawn(async move {
            for batch in own.chunks(BATCH) {
                node.send(batch).await;
            }
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
    for (sender, first) in senders.iter().zip(&nonces) {
        node.wait(sender.address, |nonce, _| nonce == first + each).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("transfers {count}\nseconds {seconds:.2}\ntransfers_per_second {:.0}", count as f64 / seconds);
}

/// A node by its address.
#[derive(Clone)]
struct Node {
    client: Client,
    url: String,
    chain_id: u64,
}

impl Node {
    async fn at(url: String) -> Self {
        // The peer may be slow.
        let mut node = Self { client: Client::new(Duration::from_secs(600)), url, chain_id: 0 };
        let id = node.ask("eth_chainId", json!([])).await;
        node.chain_id = u64::from_str_radix(id.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        node
    }

    async fn post(&self, body: &Value) -> Value {
        let bytes = self.client.post_json(&self.url, body.to_string(), &[]).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })).await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    async fn nonce(&self, address: Address) -> u64 {
        let nonce = self.ask("eth_getTransactionCount", json!([address, "latest"])).await;
        u64::from_str_radix(nonce.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    async fn wait(&self, address: Address, is_so: impl Fn(u64, U256) -> bool) {
        let started = Instant::now();
        loop {
            let nonce = self.nonce(address).await;
            let balance: U256 =
                serde_json::from_value(self.ask("eth_getBalance", json!([address, "latest"])).await).unwrap();
            if is_so(nonce, balance) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(120), "{address} stands at {nonce}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn send(&self, signed: &[String]) {
        let request = |(id, raw): (usize, &String)| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw] });
        let answers = self.post(&signed.iter().enumerate().map(request).collect::<Value>()).await;
        for answer in answers.as_array().unwrap() {
            assert!(answer["error"].is_null(), "{answer}");
        }
    }

    fn signed(&self, key: B256, nonce: u64, to: Address, value: u128) -> String {
        let unsigned = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 1_000_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(to),
            value: U256::from(value),
            access_list: Default::default(),
            input: Bytes::new(),
        };
        let key = SigningKey::from_slice(key.as_slice()).unwrap();
        let signature = key.sign_prehash_recoverable(unsigned.signature_hash().as_slice()).unwrap();
        let envelope = TxEnvelope::from(unsigned.into_signed(Signature::from(signature)));
        hex::encode_prefixed(envelope.encoded_2718())
    }
}
