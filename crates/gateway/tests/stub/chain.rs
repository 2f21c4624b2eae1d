//! A chain on which everybody has money: answers what the gateway asks it, and does what a test tells it to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use network::{
    Limits, Server,
    axum::{Json, Router, extract::State, http::StatusCode, routing::post},
};
use payments::{
    Address, B256,
    chain::{self, CONTRACTS, Foreign},
    hex, keccak256,
};
use serde_json::{Value, json};

/// 10^18.
pub const WHOLE: u128 = 1_000_000_000_000_000_000;

pub struct Chain {
    pub server: Server,
    pub is_away: Arc<AtomicBool>,
    /// Transactions that came, as they came.
    pub sent: Sent,
    pub told: Arc<Mutex<Told>>,
}

/// Transactions as they came.
pub type Sent = Arc<Mutex<Vec<String>>>;

/// What a test tells a chain.
pub struct Told {
    /// How long a transaction waits for its block.
    pub inclusion: Duration,
    /// How long it thinks about whether a call would fail.
    pub estimate: Duration,
    /// The same of an account's next nonce, and of where a transaction is.
    pub nonce: Duration,
    pub lookup: Duration,
    /// The same of what is read of a contract, other than the ledger's parameters.
    pub reading: Duration,
    /// The same of what became of it.
    pub receipt: Duration,
    /// It knows no transaction any more whose place one has that offers more.
    pub forgets_replaced: bool,
    /// No transaction comes into a block.
    pub is_held_back: bool,
    /// It has forgotten every transaction, as a reorganisation makes it.
    pub is_forgotten: bool,
    /// Calls with any of this in their data would fail.
    pub refused: Vec<String>,
    /// The same, from when they were asked about once.
    pub refused_again: Vec<String>,
    /// Every nonce was used.
    pub is_used: bool,
    /// What every transaction has logged; and whom one that nobody sent here has called, with what.
    pub logs: Vec<Value>,
    pub to: Option<String>,
    pub input: String,
    /// The time of the newest block.
    pub time_s: u64,
    pub in_wallets: u128,
    /// What Permit2 may move of it, until an approval comes; `None` for all.
    pub allowance: Option<u128>,
    /// An account without coins for gas.
    pub poor: Option<String>,
    pub in_channels: u128,
    /// What was in channels some blocks ago.
    pub in_channels_before: u128,
    /// What accounts have for gas, in wei, and what a unit of it costs.
    pub for_gas: u128,
    pub price: u128,
    /// What a transaction's bytes cost beside its gas; and the gas that any call takes.
    pub for_bytes: u128,
    pub gas: u64,
    /// How often anybody asked about a wallet or a channel.
    pub asked: usize,
    /// When payers asked for what is in their channels; zero where they did not.
    pub leaving_since_s: u64,
    /// What was claimed and not sent on.
    pub unswept: u128,
    /// What an OPG is worth, where it is the ledger, and since when; zero where nobody has set it.
    pub rate: u128,
    pub rate_since_s: u64,
    /// What its registry of models tells, by root.
    pub models: BTreeMap<[u8; 32], Registered>,
    /// The newest block. Transactions are in the first.
    pub head: u64,
    /// How many it makes in a second; all are of one moment where it is none.
    pub blocks_a_second: u64,
    /// In which one those logs are, where they are not in every one; no more than 9,000 blocks are looked through at once.
    pub logs_at: Option<u64>,
    /// What that asks for a unit of gas: no transaction that offers less comes into a block.
    pub base_fee: u128,
    /// Contracts of x402 that it has not.
    pub lacking: Vec<Address>,
    /// Calls that were asked about.
    estimated: BTreeSet<String>,
    came_at: BTreeMap<B256, Instant>,
    /// What came, as it was signed.
    came: BTreeMap<B256, Foreign>,
}

/// A model as a publisher wrote it into the registry.
#[derive(Clone, Default)]
pub struct Registered {
    pub publisher: [u8; 20],
    pub is_retired: bool,
    pub is_bare: bool,
    /// Of a call, a token that goes in and one that comes out.
    pub prices: [u128; 3],
    pub unit: u8,
    /// Who earns too, and how many millionths; and the same of the models that it was made from.
    pub splits: Vec<([u8; 20], u32)>,
    pub parents: Vec<([u8; 32], u32)>,
}

impl Registered {
    /// As the registry's `model` returns it, written out by hand: what reads it is none of ours here.
    fn answer(&self) -> String {
        let word = |number: u128| format!("{number:064x}");
        let address = |address: &[u8; 20]| format!("{:0>64}", hex::encode(address));
        let (head, text, pair) = (15 * 32, 32, 64);
        let splits_at = head + 3 * text;
        let parents_at = splits_at + 32 + pair * self.splits.len() as u128;
        let flag = |is_so: bool| word(is_so.into());
        let mut words = vec![word(32), address(&self.publisher), word(7), flag(self.is_retired), word(1), word(1)];
        words.push(flag(self.is_bare));
        // Name, version and licence are empty.
        words.extend([head, head + text, head + 2 * text].map(word));
        words.extend(self.prices.map(word));
        words.extend([word(self.unit.into()), word(splits_at), word(parents_at), word(0), word(0), word(0)]);
        words.push(word(self.splits.len() as u128));
        words.extend(self.splits.iter().flat_map(|(payee, share)| [address(payee), word((*share).into())]));
        words.push(word(self.parents.len() as u128));
        words.extend(self.parents.iter().flat_map(|(root, share)| [hex::encode(root), word((*share).into())]));
        format!("0x{}", words.concat())
    }
}

impl Told {
    /// Whether a transaction is in no block.
    fn waits(&self, hash: Option<B256>) -> bool {
        let came_at = hash.and_then(|hash| self.came_at.get(&hash));
        let is_cheap =
            hash.and_then(|hash| self.came.get(&hash)).is_some_and(|came| came.fees.max_fee_per_gas < self.base_fee);
        is_cheap || self.is_held_back || self.is_forgotten || came_at.is_some_and(|at| at.elapsed() < self.inclusion)
    }

    /// Whether another has a transaction's place, and it is known no more.
    fn is_replaced(&self, hash: Option<B256>) -> bool {
        let Some(came) = hash.and_then(|hash| self.came.get(&hash)) else { return false };
        let offers_more = |other: &Foreign| other.fees.max_fee_per_gas > came.fees.max_fee_per_gas;
        self.forgets_replaced && self.came.values().any(|other| other.nonce == came.nonce && offers_more(other))
    }

    /// A transaction: as it came, or one that nobody sent here.
    fn transaction(&self, hash: Option<B256>) -> Value {
        let Some(came) = hash.and_then(|hash| self.came.get(&hash)) else {
            return json!({ "to": self.to, "input": self.input, "blockNumber": "0x1" });
        };
        json!({
            "to": came.call.to,
            "input": came.call.data,
            "value": format!("{:#x}", came.value),
            "nonce": format!("{:#x}", came.nonce),
            "gas": format!("{:#x}", came.fees.gas),
            "maxFeePerGas": format!("{:#x}", came.fees.max_fee_per_gas),
            "maxPriorityFeePerGas": format!("{:#x}", came.fees.max_priority_fee_per_gas),
            "blockNumber": if self.waits(hash) { Value::Null } else { json!("0x1") },
        })
    }
}

impl Default for Told {
    fn default() -> Self {
        Self {
            inclusion: Duration::ZERO,
            estimate: Duration::ZERO,
            nonce: Duration::ZERO,
            lookup: Duration::ZERO,
            reading: Duration::ZERO,
            receipt: Duration::ZERO,
            forgets_replaced: false,
            is_held_back: false,
            is_forgotten: false,
            refused: Vec::new(),
            refused_again: Vec::new(),
            is_used: false,
            logs: Vec::new(),
            to: None,
            input: "0x".to_owned(),
            time_s: 0,
            in_wallets: 100 * WHOLE,
            allowance: None,
            poor: None,
            in_channels: 10 * WHOLE,
            in_channels_before: 10 * WHOLE,
            for_gas: WHOLE,
            price: 1,
            for_bytes: 0,
            gas: 1,
            asked: 0,
            leaving_since_s: 0,
            unswept: 0,
            rate: WHOLE / 5,
            rate_since_s: 0,
            models: BTreeMap::new(),
            head: 1,
            blocks_a_second: 0,
            logs_at: None,
            base_fee: 0,
            lacking: Vec::new(),
            estimated: BTreeSet::new(),
            came_at: BTreeMap::new(),
            came: BTreeMap::new(),
        }
    }
}

#[derive(Clone)]
struct Shared {
    is_away: Arc<AtomicBool>,
    sent: Sent,
    told: Arc<Mutex<Told>>,
}

impl Chain {
    pub async fn start() -> Self {
        let (is_away, sent, told) = (Arc::new(AtomicBool::new(false)), Sent::default(), Arc::default());
        let shared = Shared { is_away: Arc::clone(&is_away), sent: Arc::clone(&sent), told: Arc::clone(&told) };
        let router = Router::new().route("/", post(answer)).with_state(shared);
        let server = Server::start(super::loopback(), router, Limits::default()).await.unwrap();
        Self { server, is_away, sent, told }
    }

    pub fn tell<T>(&self, tell: impl FnOnce(&mut Told) -> T) -> T {
        tell(&mut self.told.lock().unwrap())
    }

    /// Transactions with this in them.
    pub fn sent_with(&self, part: &str) -> usize {
        self.sent.lock().unwrap().iter().filter(|raw| raw.contains(part)).count()
    }
}

async fn answer(State(shared): State<Shared>, Json(request): Json<Value>) -> Result<Json<Value>, StatusCode> {
    if request["method"] == "eth_sendRawTransaction" {
        let raw = request["params"][0].as_str().unwrap().to_owned();
        let bytes = hex::decode(&raw).unwrap();
        let hash = keccak256(&bytes);
        let mut told = shared.told.lock().unwrap();
        told.came_at.insert(hash, Instant::now());
        told.came.extend(chain::read(&bytes).map(|came| (hash, came)));
        // The selector of `approve`.
        if raw.contains("095ea7b3") {
            told.allowance = None;
        }
        drop(told);
        shared.sent.lock().unwrap().push(raw);
    }
    let pause = match request["method"].as_str() {
        Some("eth_estimateGas") => shared.told.lock().unwrap().estimate,
        Some("eth_getTransactionCount") => shared.told.lock().unwrap().nonce,
        Some("eth_getTransactionByHash") => shared.told.lock().unwrap().lookup,
        Some("eth_call") if !request["params"][0]["to"].as_str().unwrap().to_lowercase().ends_with("0a04") => {
            shared.told.lock().unwrap().reading
        }
        Some("eth_getTransactionReceipt") => shared.told.lock().unwrap().receipt,
        _ => Duration::ZERO,
    };
    tokio::time::sleep(pause).await;
    if shared.is_away.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let one = |call: &Value| match result(call, &shared) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }),
        Err(message) => json!({ "jsonrpc": "2.0", "id": call["id"], "error": { "message": message } }),
    };
    shared.told.lock().unwrap().asked += usize::from(request.is_array());
    Ok(Json(match &request {
        Value::Array(calls) => calls.iter().map(one).collect(),
        call => one(call),
    }))
}

fn number_of(block: &Value) -> Option<u64> {
    u64::from_str_radix(block.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn hash_of(params: &Value) -> Option<B256> {
    params[0].as_str().and_then(|hash| hash.parse().ok())
}

fn result(call: &Value, shared: &Shared) -> Result<Value, &'static str> {
    let mut told = shared.told.lock().unwrap();
    let params = &call["params"];
    Ok(match call["method"].as_str().unwrap() {
        "eth_getCode" => {
            let of: Address = params[0].as_str().unwrap().parse().unwrap();
            json!(if CONTRACTS.contains(&of) && !told.lacking.contains(&of) { "0x00" } else { "0x" })
        }
        "eth_getBalance" => {
            let account = params[0].as_str().unwrap().to_lowercase();
            let is_poor = told.poor.as_ref().is_some_and(|poor| account.contains(poor));
            json!(format!("{:#x}", if is_poor { 0 } else { told.for_gas }))
        }
        "eth_gasPrice" => json!(format!("{:#x}", told.price)),
        "eth_getTransactionCount" => json!(format!("{:#x}", shared.sent.lock().unwrap().len())),
        "eth_estimateGas" => {
            let data = params[0]["data"].as_str().unwrap();
            let is_again = !told.estimated.insert(data.to_owned());
            let names = |parts: &[String]| parts.iter().any(|part| data.contains(part));
            if names(&told.refused) || (is_again && names(&told.refused_again)) {
                return Err("execution reverted");
            }
            json!(format!("{:#x}", told.gas))
        }
        "eth_getTransactionReceipt" => {
            let waits = told.waits(hash_of(params));
            if waits { Value::Null } else { json!({ "status": "0x1", "blockNumber": "0x1", "logs": told.logs }) }
        }
        "eth_blockNumber" => json!(format!("{:#x}", told.head)),
        "eth_getTransactionByHash" if told.is_forgotten || told.is_replaced(hash_of(params)) => Value::Null,
        "eth_getTransactionByHash" => told.transaction(hash_of(params)),
        "eth_getBlockByNumber" => {
            let behind = told.head.saturating_sub(number_of(&params[0]).unwrap_or(told.head));
            let time_s = told.time_s.saturating_sub(behind.checked_div(told.blocks_a_second).unwrap_or_default());
            json!({ "timestamp": format!("{time_s:#x}"), "baseFeePerGas": format!("{:#x}", told.base_fee) })
        }
        "eth_getLogs" => {
            let [from, to] = ["fromBlock", "toBlock"].map(|name| number_of(&params[0][name]).unwrap());
            let is_there = told.logs_at.is_none_or(|at| (from..=to).contains(&at));
            if told.logs_at.is_some() && to - from >= 9_000 {
                return Err("too many blocks");
            }
            if is_there { json!(told.logs) } else { json!([]) }
        }
        "eth_sendRawTransaction" => json!(B256::ZERO),
        "eth_call" => said(call, &told),
        _ => json!("0x1"),
    })
}

fn said(call: &Value, told: &Told) -> Value {
    let word = |number: u128| format!("{number:064x}");
    let to = call["params"][0]["to"].as_str().unwrap().to_lowercase();
    if to.ends_with("0a04") {
        let is_since = call["params"][0]["data"].as_str().unwrap().starts_with("0xad407354");
        return json!(format!("0x{}", word(if is_since { told.rate_since_s.into() } else { told.rate })));
    }
    if to.ends_with("0a06") {
        let data = call["params"][0]["data"].as_str().unwrap();
        let model = told.models.iter().find(|(root, _)| data.ends_with(&hex::encode(root)));
        return json!(model.map_or_else(|| "0x".to_owned(), |(_, model)| model.answer()));
    }
    if to.starts_with("0x4200") {
        return json!(format!("0x{}", word(told.for_bytes)));
    }
    // Of two arguments: what a receiver has of a token.
    let data = call["params"][0]["data"].as_str().unwrap();
    if to.starts_with("0x4020074e") && data.len() == 2 + 8 + 128 {
        return json!(format!("0x{}{}", word(told.unswept), word(0)));
    }
    match (to.starts_with("0x4020074e"), call["id"].as_u64().unwrap()) {
        // Balance, then what was claimed or when a withdrawal began.
        (true, 0) => json!(format!("0x{}{}", word(told.in_channels), word(0))),
        (true, 3) => json!(format!("0x{}{}", word(told.in_channels_before), word(0))),
        (true, 1) => json!(format!("0x{}{}", word(0), word(told.leaving_since_s.into()))),
        (true, _) => json!(format!("0x{}", word(0))),
        (false, 1) => json!(format!("0x{}", if told.is_used { "f".repeat(64) } else { word(0) })),
        (false, 2) => json!(format!("0x{}", word(told.allowance.unwrap_or(told.in_wallets)))),
        (false, _) => json!(format!("0x{}", word(told.in_wallets))),
    }
}
