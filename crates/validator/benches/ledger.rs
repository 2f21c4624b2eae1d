//! Wallets' transfers on a running network: how many a second when pressed, how late at a steady pace.
//!
//! `OG_BENCH_URLS` are the JSON-RPC addresses of all validators, `OG_BENCH_KEY` the secret of an account with coins; `og devnet
//! --processes --json` tells both. `OG_BENCH_SECONDS` is how long each part lasts. Transactions are signed before time runs; a
//! transfer counts once it is final, late means on the last of all validators. With `OG_BENCH_FILL` nothing is measured: so many
//! transfers are made, for a chain of some length.
//!
//! What each validator had before the pressure and has after it is told beside the figures. Where a transfer was never seen on all of them, one
//! did not move, or a part of the load ended early, there is an exit code, and the first line on standard error says why.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at what it did not expect, and tells"
)]

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use futures::{SinkExt as _, StreamExt as _};
use k256::ecdsa::SigningKey;
use network::Client;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_tungstenite::{connect_async, tungstenite::Message};

const SENDERS: usize = 256;
const BATCH: usize = 100;
/// Batches on their way to each validator at once.
const CONNECTIONS: usize = 4;
/// Transfers a second that are prepared: more than there is any hope for.
const HOPED: u64 = 8_000;
const STEADY: u64 = 100;
/// Of one sender and round, where a chain is filled: as many as may wait.
const FILL_EACH: u64 = 512;
const OPG: u128 = 1_000_000_000_000_000_000;
/// Of each sender: what some hundred and sixty transfers of a load may cost at most, as many as wait when the pool is full.
const FUNDS: u128 = 3_500 * OPG;
/// What a transfer of a load offers for gas: so much that a base fee that rises with every full block ends no load.
const FEE_MAX: u128 = 1_000_000_000_000_000;
/// The same where a chain is filled, with more transfers of a sender waiting at once.
const FILL_FEE_MAX: u128 = 1_000_000_000_000;
/// How long what is on its way may take once time is over.
const LANE_PATIENCE: Duration = Duration::from_secs(20);
/// Refusals for now: there will be room, or the sender will have what its others still hold.
const FOR_NOW: [&str; 3] = ["txpool is full", "nonce too high", "insufficient funds"];
/// Another validator may have shown it there already, or it is executed by now.
const KNOWN: [&str; 2] = ["already known", "nonce too low"];

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(urls) = std::env::var("OG_BENCH_URLS") else {
        println!("OG_BENCH_URLS and OG_BENCH_KEY name the network: `cargo xtask bars ledger` starts one");
        return ExitCode::SUCCESS;
    };
    let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
    let rich: B256 = std::env::var("OG_BENCH_KEY").unwrap().parse().unwrap();
    let seconds = std::env::var("OG_BENCH_SECONDS").map_or(60, |text| text.parse().unwrap());
    let network = Network::at(&urls).await;
    let senders = network.funded(rich).await;
    if let Ok(count) = std::env::var("OG_BENCH_FILL") {
        network.filled(&senders, count.parse().unwrap()).await;
        return ExitCode::SUCCESS;
    }
    let (nonces, unseen) = network.steady(&senders, seconds).await;
    let pressed = network.pressed(&senders, &nonces, seconds).await;
    let faults: Vec<String> = unseen.into_iter().chain(pressed).collect();
    if faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", faults.join("; "));
    ExitCode::FAILURE
}

/// A key with its address.
struct Wallet {
    key: SigningKey,
    address: Address,
}

impl Wallet {
    fn of(secret: B256) -> Self {
        let key = SigningKey::from_slice(secret.as_slice()).unwrap();
        let address = Address::from_public_key(key.verifying_key());
        Self { key, address }
    }

    fn pays(&self, chain_id: u64, nonce: u64, to: Address, value: u128, max_fee_per_gas: u128) -> String {
        let unsigned = TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(to),
            value: U256::from(value),
            access_list: Default::default(),
            input: Bytes::new(),
        };
        let signature = self.key.sign_prehash_recoverable(unsigned.signature_hash().as_slice()).unwrap();
        let envelope = TxEnvelope::from(unsigned.into_signed(Signature::from(signature)));
        hex::encode_prefixed(envelope.encoded_2718())
    }
}

/// The validators.
#[derive(Clone)]
struct Network {
    client: Client,
    urls: Vec<String>,
    chain_id: u64,
}

fn number(value: &Value) -> u64 {
    try_number(value).unwrap()
}

fn try_number(value: &Value) -> Result<u64, String> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or_else(|| format!("{value} is no number"))
}

/// How far a validator is.
#[derive(Clone, Copy)]
struct Standing {
    /// Of the senders' transactions, those that are executed.
    executed: u64,
    height: u64,
    base_fee: u64,
}

impl Network {
    async fn at(urls: &[String]) -> Self {
        let mut network = Self { client: Client::new(Duration::from_secs(60)), urls: urls.to_vec(), chain_id: 0 };
        network.chain_id = number(&network.ask(0, "eth_chainId", json!([])).await);
        network
    }

    async fn post(&self, validator: usize, body: &Value) -> Value {
        self.try_post(validator, body).await.unwrap()
    }

    async fn try_post(&self, validator: usize, body: &Value) -> Result<Value, String> {
        let posted = self.client.post_json(&self.urls[validator], body.to_string(), &[]).await;
        let bytes = posted.map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }

    async fn ask(&self, validator: usize, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.post(validator, &body).await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    async fn nonce(&self, validator: usize, address: Address) -> u64 {
        number(&self.ask(validator, "eth_getTransactionCount", json!([address, "latest"])).await)
    }

    /// Sends signed transactions in one batch, and again what is refused for now, until `end` if there is one.
    async fn send(&self, validator: usize, signed: &[String], end: Option<Instant>) -> Result<(), String> {
        let mut left = signed.to_vec();
        while !left.is_empty() && end.is_none_or(|end| Instant::now() < end) {
            let request = |(id, raw): (usize, &String)| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw] });
            let answered = self.try_post(validator, &left.iter().enumerate().map(request).collect::<Value>()).await?;
            let Some(answers) = answered.as_array() else {
                return Err(format!("validator {validator} answered {answered}"));
            };
            let mut again = Vec::new();
            for (raw, answer) in left.iter().zip(answers) {
                let message = answer["error"]["message"].as_str().unwrap_or_default();
                let is_one_of = |words: &[&str]| words.iter().any(|word| message.starts_with(*word));
                if is_one_of(&FOR_NOW) {
                    again.push(raw.clone());
                } else if !answer["error"].is_null() && !is_one_of(&KNOWN) {
                    return Err(format!("validator {validator} refused: {}", answer["error"]));
                }
            }
            if !again.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            left = again;
        }
        Ok(())
    }

    /// Wallets with coins.
    async fn funded(&self, rich: B256) -> Vec<Wallet> {
        let senders: Vec<Wallet> =
            (0..SENDERS).map(|index| Wallet::of(keccak256(format!("og/bench/{index}")))).collect();
        let rich = Wallet::of(rich);
        let first = self.nonce(0, rich.address).await;
        let pay =
            |(nonce, sender): (u64, &Wallet)| rich.pays(self.chain_id, nonce, sender.address, FUNDS, FILL_FEE_MAX);
        let funding: Vec<String> = (first..).zip(&senders).map(pay).collect();
        self.send(0, &funding, None).await.unwrap();
        for validator in 0..self.urls.len() {
            while self.nonce(validator, rich.address).await < first + SENDERS as u64 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        senders
    }

    /// Tells the hashes of each block as soon as a validator shows it.
    async fn watch(&self, validator: usize, seen: mpsc::UnboundedSender<(usize, Instant, Vec<String>)>) {
        let url = self.urls[validator].replacen("http", "ws", 1);
        let (mut socket, _) = connect_async(url).await.unwrap();
        let subscribe = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"] });
        socket.send(Message::text(subscribe.to_string())).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            let now = Instant::now();
            let Ok(text) = message.into_text() else { continue };
            let Ok(news) = serde_json::from_str::<Value>(&text) else { continue };
            let head = &news["params"]["result"];
            if head["number"].is_null() || head["gasUsed"] == "0x0" {
                continue;
            }
            let block = self.ask(validator, "eth_getBlockByNumber", json!([head["number"], false])).await;
            let hashes = block["transactions"].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap().to_owned());
            if seen.send((validator, now, hashes.collect())).is_err() {
                return;
            }
        }
    }

    /// One transfer after the other at a steady pace, to one validator after the other; the senders' next nonces, and what is wrong where some
    /// were never seen on all validators: how late those are nobody knows, so there is no figure then.
    async fn steady(&self, senders: &[Wallet], seconds: u64) -> (Vec<u64>, Option<String>) {
        let (seen, mut news) = mpsc::unbounded_channel();
        let mut watching = JoinSet::new();
        for validator in 0..self.urls.len() {
            let (network, seen) = (self.clone(), seen.clone());
            watching.spawn(async move { network.watch(validator, seen).await });
        }
        let mut nonces = Vec::new();
        for sender in senders {
            nonces.push(self.nonce(0, sender.address).await);
        }
        let count = usize::try_from(seconds * STEADY).unwrap();
        let mut signed = Vec::new();
        for index in 0..count {
            let who = index % senders.len();
            signed.push(senders[who].pays(self.chain_id, nonces[who], Address::repeat_byte(0x77), 1, FEE_MAX));
            nonces[who] += 1;
        }
        let (mut sent, mut sending) = (HashMap::new(), JoinSet::new());
        let mut pace = tokio::time::interval(Duration::from_millis(1_000 / STEADY));
        for (index, raw) in signed.into_iter().enumerate() {
            pace.tick().await;
            let hash = keccak256(hex::decode(&raw).unwrap()).to_string();
            sent.insert(hash, (Instant::now(), Vec::new()));
            let network = self.clone();
            sending.spawn(async move { network.send(index % network.urls.len(), &[raw], None).await });
        }
        while let Some(sent) = sending.join_next().await {
            sent.unwrap().unwrap();
        }
        let deadline = tokio::time::sleep(Duration::from_secs(5));
        tokio::pin!(deadline);
        while sent.values().any(|(_, seen): &(Instant, Vec<Instant>)| seen.len() < self.urls.len()) {
            tokio::select! {
                Some((_, at, hashes)) = news.recv() => for hash in hashes {
                    if let Some((_, seen)) = sent.get_mut(&hash) {
                        seen.push(at);
                    }
                },
                () = &mut deadline => break,
            }
        }
        watching.abort_all();
        let lost = sent.values().filter(|(_, seen)| seen.len() < self.urls.len()).count();
        let last =
            |(at, seen): &(Instant, Vec<Instant>)| Some(seen.iter().max()?.duration_since(*at).as_secs_f64() * 1e3);
        let mut late: Vec<f64> = sent.values().filter_map(last).collect();
        late.sort_unstable_by(f64::total_cmp);
        let part = |share: usize| late.get(late.len() * share / 100).copied().unwrap_or(f64::NAN);
        println!("latency_ms_p50 {:.1}\nlatency_ms_p99 {:.1}\nunseen {lost}", part(50), part(99));
        (nonces, (lost > 0).then(|| format!("{lost} of {count} transfers were not seen on all validators")))
    }

    /// As many as they take, in batches, to all validators at once, each sender always to the same. What went wrong, if anything.
    async fn pressed(&self, senders: &[Wallet], nonces: &[u64], seconds: u64) -> Vec<String> {
        let signed = self.prepared(senders, nonces, seconds);
        let before = self.standings(senders).await;
        tell("before", &before);
        let (started, end) = (Instant::now(), Duration::from_secs(seconds));
        let mut sending = JoinSet::new();
        for (lane, signed) in signed.into_iter().enumerate() {
            let network = self.clone();
            sending.spawn(async move {
                for batch in signed.chunks(BATCH) {
                    if started.elapsed() >= end {
                        break;
                    }
                    network.send(lane % network.urls.len(), batch, Some(started + end)).await?;
                }
                Ok::<_, String>(())
            });
        }
        tokio::time::sleep(end.saturating_sub(started.elapsed())).await;
        let (after, took) = (self.standings(senders).await, started.elapsed().as_secs_f64());
        tell("after", &after);
        let done = least(&after).saturating_sub(least(&before));
        println!("transfers {done}\ntransfers_per_second {:.0}", done as f64 / took);
        let mut faults = unmoved(&before, &after);
        faults.extend(first_error(sending).await);
        faults
    }

    /// Signed transfers, those of a lane's senders in turns.
    fn prepared(&self, senders: &[Wallet], nonces: &[u64], seconds: u64) -> Vec<Vec<String>> {
        let each = seconds * HOPED / senders.len() as u64;
        let validators = self.urls.len();
        let lanes = validators * CONNECTIONS;
        let signing = std::thread::available_parallelism().map_or(1, usize::from);
        let mut signed: Vec<Vec<String>> = (0..lanes).map(|_| Vec::new()).collect();
        std::thread::scope(|scope| {
            for (thread, part) in signed.chunks_mut(lanes.div_ceil(signing)).enumerate() {
                let first = thread * lanes.div_ceil(signing);
                scope.spawn(move || {
                    for (offset, lane) in part.iter_mut().enumerate() {
                        let own = senders.iter().zip(nonces).skip(first + offset).step_by(lanes);
                        let own: Vec<_> = own.collect();
                        for round in 0..each {
                            let pay = |(sender, nonce): &(&Wallet, &u64)| {
                                sender.pays(self.chain_id, **nonce + round, Address::repeat_byte(0x77), 1, FEE_MAX)
                            };
                            lane.extend(own.iter().map(pay));
                        }
                    }
                });
            }
        });
        signed
    }

    /// So many transfers, a round of some thousands signed and sent after the other.
    async fn filled(&self, senders: &[Wallet], count: u64) {
        let before = self.executed(senders).await;
        let mut nonces = Vec::new();
        for sender in senders {
            nonces.push(self.nonce(0, sender.address).await);
        }
        let mut made = 0;
        while made < count {
            let each = (count - made).div_ceil(senders.len() as u64).min(FILL_EACH);
            let signed = std::thread::scope(|scope| {
                let half = senders.len().div_ceil(2);
                let of_half = |(senders, nonces): (&[Wallet], &[u64])| {
                    let pay = |(sender, nonce): (&Wallet, &u64)| {
                        let to = Address::repeat_byte(0x77);
                        let pay = |nonce| sender.pays(self.chain_id, nonce, to, 1, FILL_FEE_MAX);
                        (*nonce..nonce + each).map(pay).collect::<Vec<_>>()
                    };
                    senders.iter().zip(nonces).flat_map(pay).collect::<Vec<_>>()
                };
                let parts = senders.chunks(half).zip(nonces.chunks(half));
                let signing: Vec<_> = parts.map(|part| scope.spawn(move || of_half(part))).collect();
                signing.into_iter().flat_map(|part| part.join().unwrap()).collect::<Vec<_>>()
            });
            let (lanes, mut sending) = (self.urls.len() * CONNECTIONS, JoinSet::new());
            for (lane, own) in signed.chunks(signed.len().div_ceil(lanes)).map(<[String]>::to_vec).enumerate() {
                let network = self.clone();
                sending.spawn(async move {
                    for batch in own.chunks(BATCH) {
                        network.send(lane % network.urls.len(), batch, None).await?;
                    }
                    Ok::<_, String>(())
                });
            }
            while let Some(sent) = sending.join_next().await {
                sent.unwrap().unwrap();
            }
            made += each * senders.len() as u64;
            nonces.iter_mut().for_each(|nonce| *nonce += each);
        }
        while self.executed(senders).await < before + made {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("transfers {made}");
    }

    /// Transfers that are final on every validator.
    async fn executed(&self, senders: &[Wallet]) -> u64 {
        let standings = self.standings(senders).await.into_iter().map(|standing| standing.unwrap().executed);
        standings.min().unwrap_or(0)
    }

    /// How far each validator is, or why it does not say.
    async fn standings(&self, senders: &[Wallet]) -> Vec<Result<Standing, String>> {
        let mut standings = Vec::new();
        for validator in 0..self.urls.len() {
            standings.push(self.standing(validator, senders).await);
        }
        standings
    }

    async fn standing(&self, validator: usize, senders: &[Wallet]) -> Result<Standing, String> {
        let newest =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", false] });
        let newest = self.try_post(validator, &newest).await?;
        let head = &newest["result"];
        if head.is_null() {
            return Err(format!("it says {newest}"));
        }
        let request = |(id, sender): (usize, &Wallet)| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_getTransactionCount", "params": [sender.address, "latest"] });
        let answers = self.try_post(validator, &senders.iter().enumerate().map(request).collect::<Value>()).await?;
        let mut executed = 0;
        for answer in answers.as_array().into_iter().flatten() {
            executed += try_number(&answer["result"])?;
        }
        Ok(Standing { executed, height: try_number(&head["number"])?, base_fee: try_number(&head["baseFeePerGas"])? })
    }
}

fn tell(when: &str, standings: &[Result<Standing, String>]) {
    for (validator, standing) in standings.iter().enumerate() {
        match standing {
            Ok(Standing { executed, height, base_fee }) => {
                println!(
                    "{when}: validator {validator} has executed {executed} up to block {height}, base fee {base_fee}"
                );
            }
            Err(reason) => println!("{when}: validator {validator} does not answer: {reason}"),
        }
    }
}

/// Transfers that are final on every validator that says how far it is.
fn least(standings: &[Result<Standing, String>]) -> u64 {
    standings.iter().flatten().map(|standing| standing.executed).min().unwrap_or(0)
}

/// Validators on which nothing happened.
fn unmoved(before: &[Result<Standing, String>], after: &[Result<Standing, String>]) -> Vec<String> {
    let mut faults = Vec::new();
    for (validator, pair) in before.iter().zip(after).enumerate() {
        match pair {
            (Ok(before), Ok(after)) if after.executed > before.executed && after.height > before.height => {}
            (Ok(before), Ok(after)) => faults.push(format!(
                "validator {validator} did not move: {} executed in block {}, then {} in block {}",
                before.executed, before.height, after.executed, after.height
            )),
            (Err(reason), _) | (_, Err(reason)) => {
                faults.push(format!("validator {validator} does not answer: {reason}"))
            }
        }
    }
    faults
}

/// Why the first part of a load that ended early did so.
async fn first_error(mut sending: JoinSet<Result<(), String>>) -> Option<String> {
    let mut first = None;
    while !sending.is_empty() {
        match tokio::time::timeout(LANE_PATIENCE, sending.join_next()).await {
            Ok(Some(Ok(Ok(())))) => {}
            Ok(Some(Ok(Err(error)))) => first = first.or(Some(error)),
            Ok(Some(Err(error))) => first = first.or_else(|| Some(error.to_string())),
            Ok(None) => break,
            Err(_) => {
                sending.abort_all();
                return first.or_else(|| Some("a validator does not answer what was sent to it".to_owned()));
            }
        }
    }
    first.map(|error| format!("the load ended early: {error}"))
}
