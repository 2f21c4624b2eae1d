//! The facilitator's interface before a chain that is slow, away, lies or forgets: one payment is one transaction, whatever happens.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use gateway::{Facilitator, FacilitatorConfig, FacilitatorPace};
use network::{
    Limits, Server,
    axum::{
        Json, Router,
        extract::State,
        http::StatusCode,
        routing::{get, post},
    },
    now_ms,
};
use payments::{
    Address, B256,
    chain::{self, Foreign},
    facilitator::{Bucket, Merchant, MerchantToken},
    hex, keccak256,
    payer::{Channel, Payer},
    price::{Money, Unit},
    scheme::Asset,
    signing::SignerKey,
    wire::{Network, PaymentRequired, Requirements, Resource, header},
};
use serde_json::{Map, Value, json};
use stub::{Client, client::Answer};

const USDC: Address = Address::with_last_byte(0xdc);
const OPG: Address = Address::with_last_byte(0x09);
const RECEIVER: Address = Address::with_last_byte(0x44);

/// What the chain does with transactions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Quick,
    /// Takes them, and has them in no block.
    Slow,
    Reverts,
    /// Says that a call would fail.
    Refuses,
    /// Says nothing at all.
    Away,
    /// The same, and takes half a second to.
    Hangs,
    /// Takes them and says that it did not hear them: the answer is lost.
    Deaf,
}

#[derive(Default)]
struct Ledger {
    mood: Mood,
    /// Distinct transactions that were sent.
    sent: BTreeSet<String>,
    /// How often any was.
    sends: usize,
    count: u64,
    /// Nothing is left for gas.
    is_poor: bool,
    /// What its blocks ask for a unit of gas: none takes a transaction that offers less.
    base_fee: u128,
    /// What was sent, as it was signed.
    came: BTreeMap<B256, Foreign>,
}

impl Ledger {
    fn is_too_cheap(&self, params: &Value) -> bool {
        let hash: Option<B256> = params[0].as_str().and_then(|hash| hash.parse().ok());
        let came = hash.and_then(|hash| self.came.get(&hash));
        came.is_some_and(|came| came.fees.max_fee_per_gas < self.base_fee)
    }
}

struct Chain {
    server: Server,
    ledger: Arc<Mutex<Ledger>>,
}

impl Chain {
    async fn start() -> Self {
        let ledger = Arc::<Mutex<Ledger>>::default();
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&ledger));
        Self { server: Server::start(stub::loopback(), router, Limits::default()).await.unwrap(), ledger }
    }

    fn set(&self, mood: Mood) {
        self.ledger.lock().unwrap().mood = mood;
    }

    fn sent(&self) -> usize {
        self.ledger.lock().unwrap().sent.len()
    }
}

async fn answer(
    State(ledger): State<Arc<Mutex<Ledger>>>,
    Json(request): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let hangs = ledger.lock().unwrap().mood == Mood::Hangs;
    if hangs {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut ledger = ledger.lock().unwrap();
    if hangs || ledger.mood == Mood::Away {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let is_send = request["method"] == "eth_sendRawTransaction";
    let mut one = |call: &Value| match result(&mut ledger, call) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }),
        Err(message) => json!({ "jsonrpc": "2.0", "id": call["id"], "error": { "code": -32000, "message": message } }),
    };
    let body = match &request {
        Value::Array(calls) => calls.iter().map(one).collect(),
        call => one(call),
    };
    if is_send && ledger.mood == Mood::Deaf { Err(StatusCode::BAD_GATEWAY) } else { Ok(Json(body)) }
}

fn result(ledger: &mut Ledger, call: &Value) -> Result<Value, &'static str> {
    let word = |number: u128| format!("0x{number:064x}");
    Ok(match call["method"].as_str().unwrap() {
        "eth_getCode" => json!("0x"),
        "eth_getBalance" => json!(if ledger.is_poor { "0x5207" } else { "0xde0b6b3a7640000" }),
        "eth_getTransactionReceipt" => match ledger.mood {
            Mood::Slow => Value::Null,
            Mood::Reverts => json!({ "status": "0x0" }),
            _ if ledger.sent.is_empty() || ledger.is_too_cheap(&call["params"]) => Value::Null,
            _ => json!({ "status": "0x1" }),
        },
        "eth_sendRawTransaction" => {
            let raw = call["params"][0].as_str().unwrap();
            let bytes = hex::decode(raw).unwrap();
            ledger.came.extend(chain::read(&bytes).map(|came| (keccak256(&bytes), came)));
            let is_new = ledger.sent.insert(raw.to_owned());
            ledger.sends += 1;
            if !is_new {
                return Err("already known");
            }
            ledger.count += 1;
            json!(B256::ZERO)
        }
        "eth_getTransactionCount" => json!(format!("{:#x}", ledger.count)),
        "eth_getBlockByNumber" => json!({ "baseFeePerGas": format!("{:#x}", ledger.base_fee) }),
        "eth_estimateGas" if ledger.mood == Mood::Refuses => return Err("execution reverted"),
        "eth_call" => match call["id"].as_u64().unwrap() {
            1 => json!(word(0)),
            _ => json!(word(1 << 100)),
        },
        _ => json!("0x5208"),
    })
}

struct Stage {
    chain: Chain,
    facilitator: Facilitator,
    client: Client,
    token: MerchantToken,
    folder: tempfile::TempDir,
}

fn config(chain: &Chain, folder: &Path, token: &MerchantToken) -> FacilitatorConfig {
    let money = |unit, decimals| Money { unit, decimals };
    FacilitatorConfig {
        listen: stub::loopback(),
        directory: folder.to_owned(),
        rpc: chain.server.url(),
        network: Network::BASE,
        fee_max: gateway::fee_max(Network::BASE),
        assets: vec![
            Asset::new(Network::BASE, USDC, "USD Coin", "2", money(Unit::Usd, 6)),
            Asset::new(Network::BASE, OPG, "OpenGradient", "1", money(Unit::Opg, 18)),
        ],
        secret: [9; 32],
        merchants: vec![Merchant { pay_to: RECEIVER, token: token.digest() }],
        pace: FacilitatorPace {
            settlements: Bucket { a_second: 1, most: 30 },
            strangers: Bucket { a_second: 1, most: 40 },
            verifications: Bucket { a_second: 1, most: 30 },
            stranger_verifications: Bucket { a_second: 1, most: 40 },
            settlements_kept: 1,
            places: 64,
            patience: Duration::from_secs(1),
            unmined: Duration::from_secs(1),
        },
    }
}

async fn stage() -> Stage {
    let (chain, folder) = (Chain::start().await, tempfile::tempdir().unwrap());
    let token = MerchantToken::from_random([7; 32]);
    let facilitator = Facilitator::start(config(&chain, folder.path(), &token)).await.unwrap();
    let client = Client::new(facilitator.url().strip_prefix("http://").unwrap().parse().unwrap());
    Stage { chain, facilitator, client, token, folder }
}

fn payer() -> Payer {
    Payer::new(SignerKey::from_secret([1; 32]).unwrap())
}

/// What is settled: a payment of each form, or a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Transfer,
    Permit,
    Upto,
    Deposit,
}

const FORMS: [Form; 4] = [Form::Transfer, Form::Permit, Form::Upto, Form::Deposit];

/// What a server sends to have one settled whole.
fn body_of(form: Form, nonce: u8) -> String {
    let (scheme, is_permit2) = match form {
        Form::Transfer => ("exact", false),
        Form::Permit => ("exact", true),
        Form::Upto => ("upto", true),
        Form::Deposit => ("batch-settlement", false),
    };
    let mut terms = terms_by(scheme, is_permit2);
    let nonce = B256::repeat_byte(nonce);
    let resource = Resource { url: "http://shop/x".to_owned(), description: None, mime_type: None };
    let required = PaymentRequired { error: None, resource, accepts: vec![terms.clone()], extensions: Map::new() };
    let payment = if form == Form::Deposit {
        terms.extra.insert("receiverAuthorizer".to_owned(), json!(RECEIVER));
        terms.extra.insert("withdrawDelay".to_owned(), 900.into());
        let channel = Channel::of(&terms, &payer(), nonce).unwrap();
        let payload = channel.deposit(&payer(), &terms, 5_000, nonce, now_ms() / 1_000).unwrap();
        Channel::payment(&required, &terms, payload)
    } else {
        payer().pay(&required, &terms, nonce, now_ms() / 1_000).unwrap()
    };
    json!({ "x402Version": 2, "paymentPayload": payment.to_json(), "paymentRequirements": terms.to_json() }).to_string()
}

fn terms(scheme: &str) -> Requirements {
    terms_by(scheme, scheme == "upto")
}

fn terms_by(scheme: &str, is_permit2: bool) -> Requirements {
    let mut extra = Map::new();
    extra.insert("name".to_owned(), if is_permit2 { "OpenGradient" } else { "USD Coin" }.into());
    extra.insert("version".to_owned(), if is_permit2 { "1" } else { "2" }.into());
    if is_permit2 {
        extra.insert("assetTransferMethod".to_owned(), "permit2".into());
        let facilitator = SignerKey::from_secret([9; 32]).unwrap().address();
        extra.insert("facilitatorAddress".to_owned(), json!(facilitator));
    }
    Requirements {
        scheme: scheme.to_owned(),
        network: Network::BASE,
        amount: 1_000,
        asset: if is_permit2 { OPG } else { USDC },
        pay_to: RECEIVER,
        max_timeout_s: 300,
        extra,
    }
}

/// A payment, to be settled for `amount`.
fn body(scheme: &str, nonce: u8, amount: u128) -> String {
    let terms = terms(scheme);
    let resource = Resource { url: "http://shop/x".to_owned(), description: None, mime_type: None };
    let required = PaymentRequired { error: None, resource, accepts: vec![terms.clone()], extensions: Map::new() };
    let payment = payer().pay(&required, &terms, B256::repeat_byte(nonce), now_ms() / 1_000).unwrap();
    let asked = Requirements { amount, ..terms };
    json!({ "x402Version": 2, "paymentPayload": payment.to_json(), "paymentRequirements": asked.to_json() }).to_string()
}

impl Stage {
    async fn settle(&self, body: &str) -> Answer {
        self.client.post("/settle", body).await
    }

    async fn settle_as(&self, token: &MerchantToken, body: &str) -> Answer {
        let headers = format!("content-type: application/json\r\nauthorization: Bearer {}\r\n", token.expose());
        self.client.post_with("/settle", &headers, body).await
    }

    /// Ends it as a crash would and starts another on what it wrote.
    async fn again(self) -> Self {
        self.facilitator.stop().await;
        let mut facilitator = None;
        for _ in 0..400 {
            match Facilitator::start(config(&self.chain, self.folder.path(), &self.token)).await {
                Ok(started) => {
                    facilitator = Some(started);
                    break;
                }
                // What answers a request may hold the journal a moment longer.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        let facilitator = facilitator.unwrap();
        let client = Client::new(facilitator.url().strip_prefix("http://").unwrap().parse().unwrap());
        Self { facilitator, client, ..self }
    }
}

#[tokio::test]
async fn twenty_settlements_of_one_payment_at_once_are_one_transaction_and_one_answer() {
    for form in FORMS {
        twenty_settlements_of(form).await;
    }
}

async fn twenty_settlements_of(form: Form) {
    let stage = Arc::new(stage().await);
    let body = body_of(form, 1);
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let (stage, body) = (Arc::clone(&stage), body.clone());
            tokio::spawn(async move { stage.settle_as(&stage.token, &body).await.json() })
        })
        .collect();
    let mut answers = BTreeSet::new();
    for asked in asked {
        let answer = asked.await.unwrap();
        assert_eq!(answer["success"], true, "{answer}");
        answers.insert(answer.to_string());
    }
    assert_eq!((stage.chain.sent(), answers.len()), (1, 1));
    let verified = stage.client.post("/verify", &body).await.json();
    assert_eq!(
        (&verified["isValid"], &verified["invalidReason"]),
        (&json!(false), &json!("invalid_transaction_state"))
    );
}

#[tokio::test]
async fn a_good_payment_is_valid_and_says_who_pays() {
    let stage = stage().await;
    let verified = stage.client.post("/verify", &body("exact", 1, 1_000)).await;
    assert_eq!((verified.status, &verified.json()["isValid"]), (200, &json!(true)), "{}", verified.body);
    assert_eq!(verified.json()["payer"], payer().key().address().to_checksum(None));
    let supported = stage.client.get("/supported").await.json();
    let kinds: Vec<&str> =
        supported["kinds"].as_array().unwrap().iter().map(|kind| kind["scheme"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["exact", "upto", "batch-settlement", "exact"]);
    assert!(supported["signers"]["eip155:*"][0].as_str().unwrap().starts_with("0x"));
    assert_eq!(supported["kinds"][2].get("extra"), None, "it signs nobody's claims");
}

#[tokio::test]
async fn only_the_receiver_says_how_much_of_a_cap_is_taken() {
    let stage = stage().await;
    let part = body("upto", 1, 600);
    let stranger = stage.settle(&part).await;
    assert_eq!((stranger.status, &stranger.json()["errorReason"]), (401, &json!("unauthorized_settlement")));
    let other = stage.settle_as(&MerchantToken::from_random([8; 32]), &part).await;
    assert_eq!((other.status, stage.chain.sent()), (401, 0));
    let settled = stage.settle_as(&stage.token, &part).await.json();
    assert_eq!((&settled["success"], &settled["amount"]), (&json!(true), &json!("600")), "{settled}");
    let again = stage.settle_as(&stage.token, &body("upto", 1, 700)).await.json();
    assert_eq!(again["errorReason"], "invalid_transaction_state", "a cap is settled once, however much of it");
    let nothing = stage.settle_as(&stage.token, &body("upto", 2, 0)).await.json();
    assert_eq!((&nothing["success"], &nothing["transaction"]), (&json!(true), &json!("")));
    let more = stage.settle_as(&stage.token, &body("upto", 3, 1_001)).await.json();
    assert_eq!(more["errorReason"], "invalid_settlement_exceeds_amount");
    assert_eq!(stage.chain.sent(), 1);
}

#[tokio::test]
async fn a_settlement_that_is_late_is_pending_and_is_never_sent_as_another() {
    for form in FORMS {
        a_late_settlement_of(form).await;
    }
}

async fn a_late_settlement_of(form: Form) {
    let stage = stage().await;
    stage.chain.set(Mood::Slow);
    let body = body_of(form, 1);
    let late = stage.settle_as(&stage.token, &body).await.json();
    assert_eq!((&late["success"], &late["errorReason"]), (&json!(false), &json!("settlement_pending")), "{late}");
    assert!(late["transaction"].as_str().unwrap().starts_with("0x"));
    stage.chain.set(Mood::Quick);
    let settled = stage.settle_as(&stage.token, &body).await.json();
    assert_eq!((&settled["success"], &settled["transaction"]), (&json!(true), &late["transaction"]), "{form:?}");
    assert_eq!(stage.chain.sent(), 1, "{form:?}");
}

#[tokio::test]
async fn after_a_crash_the_very_same_transaction_is_sent_again() {
    for form in FORMS {
        after_a_crash_of(form).await;
    }
}

async fn after_a_crash_of(form: Form) {
    let stage = stage().await;
    // The chain took it, and nobody heard.
    stage.chain.set(Mood::Deaf);
    let body = body_of(form, 1);
    let asked = stage.settle_as(&stage.token, &body);
    let answer = tokio::time::timeout(Duration::from_secs(25), asked).await.unwrap();
    assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
    stage.chain.set(Mood::Slow);
    let stage = stage.again().await;
    stage.chain.set(Mood::Quick);
    let settled = stage.settle_as(&stage.token, &body).await.json();
    assert_eq!(settled["success"], true, "{form:?}: {settled}");
    assert_eq!(stage.chain.sent(), 1, "sent again perhaps, and never as another");
    let stage = stage.again().await;
    let known = stage.settle_as(&stage.token, &body).await.json();
    assert_eq!(known["success"], true, "{form:?}: known after the next crash too");
    assert_eq!(stage.chain.sent(), 1);
}

#[tokio::test]
async fn an_errand_that_is_too_cheap_by_now_is_sent_again_at_a_higher_price_and_settled_once() {
    for form in FORMS {
        an_errand_that_is_too_cheap_of(form).await;
    }
}

async fn an_errand_that_is_too_cheap_of(form: Form) {
    let (stage, base_fee) = (stage().await, 1_000_000_000);
    stage.chain.ledger.lock().unwrap().base_fee = base_fee;
    let body = body_of(form, 1);
    let late = stage.settle_as(&stage.token, &body).await.json();
    assert_eq!(late["errorReason"], "settlement_pending", "{form:?}: {late}");
    stub::paid::until("it is sent again", || stage.chain.sent() == 2).await;
    let mut came: Vec<Foreign> = stage.chain.ledger.lock().unwrap().came.values().cloned().collect();
    came.sort_by_key(|came| came.fees.max_fee_per_gas);
    assert_eq!((came[0].nonce, &came[0].call), (came[1].nonce, &came[1].call), "{form:?}: in its own place");
    assert!(came[0].fees.max_fee_per_gas < base_fee && base_fee <= came[1].fees.max_fee_per_gas, "{form:?}");
    assert_eq!(late["transaction"], came[0].hash.to_string(), "{form:?}");
    // No block has either of them before the crash and after it.
    stage.chain.set(Mood::Slow);
    let stage = stage.again().await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    stage.chain.set(Mood::Quick);
    for _ in 0..2 {
        let settled = stage.settle_as(&stage.token, &body).await.json();
        let told = (&settled["success"], &settled["transaction"]);
        assert_eq!(told, (&json!(true), &json!(came[1].hash.to_string())), "{form:?}: the one that its chain took");
    }
    let stage = stage.again().await;
    let settled = stage.settle_as(&stage.token, &body).await.json();
    assert_eq!(settled["transaction"], came[1].hash.to_string(), "{form:?}");
    assert_eq!(stage.chain.sent(), 2, "{form:?}: it offers enough");
}

#[tokio::test]
async fn what_its_chain_refuses_or_reverts_takes_nothing_and_may_be_tried_anew() {
    for form in FORMS {
        what_is_refused_of(form).await;
    }
}

async fn what_is_refused_of(form: Form) {
    let stage = stage().await;
    let body = body_of(form, 1);
    stage.chain.set(Mood::Refuses);
    if form != Form::Deposit {
        // A server that is told that a payment is good serves before it settles.
        let verified = stage.client.post("/verify", &body).await.json();
        let told = (&verified["isValid"], &verified["invalidReason"]);
        assert_eq!(told, (&json!(false), &json!("transaction_simulation_failed")), "{form:?}");
    }
    let refused = stage.settle_as(&stage.token, &body).await;
    let reason = &refused.json()["errorReason"];
    assert_eq!((refused.status, reason), (200, &json!("transaction_simulation_failed")), "{}", refused.body);
    assert_eq!(stage.chain.sent(), 0);
    stage.chain.set(Mood::Reverts);
    let reverted = stage.settle_as(&stage.token, &body).await.json();
    assert_eq!((&reverted["success"], &reverted["errorReason"]), (&json!(false), &json!("invalid_transaction_state")));
    stage.chain.set(Mood::Quick);
    assert_eq!(stage.settle_as(&stage.token, &body).await.json()["success"], true, "{form:?}");
}

#[tokio::test]
async fn a_chain_that_is_away_makes_nothing_valid() {
    let stage = stage().await;
    for (nonce, form) in (1..).zip(FORMS) {
        let body = body_of(form, nonce);
        stage.chain.set(Mood::Away);
        let verified = stage.client.post("/verify", &body).await;
        assert_eq!((verified.status, &verified.json()["isValid"]), (503, &json!(false)), "{form:?}");
        let settled = stage.settle_as(&stage.token, &body).await;
        assert_eq!((settled.status, &settled.json()["success"]), (503, &json!(false)), "{form:?}");
        assert!(settled.headers.contains_key("retry-after"));
        stage.chain.set(Mood::Quick);
        assert_eq!(stage.settle_as(&stage.token, &body).await.json()["success"], true, "{form:?}");
    }
}

#[tokio::test]
async fn who_waits_for_what_a_chain_that_hangs_has_for_gas_does_not_wait_for_each_other() {
    let stage = stage().await;
    stage.chain.set(Mood::Hangs);
    let began_at = std::time::Instant::now();
    let ask = |nonce| {
        let (client, body) = (stage.client, body_of(Form::Transfer, nonce));
        tokio::spawn(async move { client.post("/settle", &body).await.status })
    };
    let asked: Vec<_> = (1..=16).map(ask).collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 503);
    }
    assert!(began_at.elapsed() < Duration::from_secs(4), "each after the other: {:?}", began_at.elapsed());
    stage.chain.set(Mood::Quick);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.settle(&body_of(Form::Transfer, 1)).await.json()["success"], true);
}

/// A shop that asks whoever comes to be paid at `pay_to`, and wants to be found.
async fn shop(pay_to: Address) -> Server {
    let description = Some("by the shop".to_owned());
    let resource = Resource { url: "http://shop/x".to_owned(), description, mime_type: None };
    let accepts = vec![Requirements { pay_to, ..terms("exact") }];
    let bazaar = json!({ "info": { "input": { "method": "GET" }, "of": "the shop" } });
    let extensions = Map::from_iter([("bazaar".to_owned(), bazaar)]);
    let required = PaymentRequired { error: None, resource, accepts, extensions };
    let value = header::write(&required.to_json());
    let asks = move || async move { (StatusCode::PAYMENT_REQUIRED, [(header::REQUIRED, value)]) };
    let router = Router::new().route("/weather", get(asks.clone())).route("/tides", get(asks.clone()));
    let router = router.route("/news", get(asks));
    Server::start(stub::loopback(), router, Limits::default()).await.unwrap()
}

/// A settlement of what was paid for `url`, to whomever, by a payer who wants it listed.
fn body_for(url: &str, nonce: u8, pay_to: Address) -> String {
    body_over(1_000, url, nonce, pay_to)
}

fn body_over(amount: u128, url: &str, nonce: u8, pay_to: Address) -> String {
    let terms = Requirements { pay_to, amount, ..terms("exact") };
    let resource = Resource { url: url.to_owned(), description: Some("by its payer".to_owned()), mime_type: None };
    let required = PaymentRequired { error: None, resource, accepts: vec![terms.clone()], extensions: Map::new() };
    let mut payment = payer().pay(&required, &terms, B256::repeat_byte(nonce), now_ms() / 1_000).unwrap();
    payment.extensions.insert("bazaar".to_owned(), json!({ "info": { "input": { "method": "GET" } } }));
    json!({ "x402Version": 2, "paymentPayload": payment.to_json(), "paymentRequirements": terms.to_json() }).to_string()
}

#[tokio::test]
async fn a_resource_is_listed_only_where_it_says_itself_that_it_is_its_payees() {
    let (stage, shop) = (stage().await, shop(RECEIVER).await);
    let (own, attacker) = (format!("{}/weather", shop.url()), Address::with_last_byte(0x66));
    let listed = async || -> Vec<Value> {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stage.client.get("/discovery/resources").await.json()["items"].as_array().unwrap().clone()
    };
    // Whoever pays itself may name any address as what it paid for.
    let nothing = format!("{}/nothing", shop.url());
    for (nonce, url) in (1..).zip([own.as_str(), &nothing, "http://127.0.0.1:1/x"]) {
        let settled = stage.settle(&body_for(url, nonce, attacker)).await.json();
        assert_eq!(settled["success"], true, "{settled}");
    }
    assert_eq!(listed().await, Vec::<Value>::new());
    assert_eq!(stage.settle(&body_for(&own, 4, RECEIVER)).await.json()["success"], true);
    let found = listed().await;
    let [one] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&one["resource"], &one["accepts"][0]["payTo"]), (&json!(own), &json!(RECEIVER.to_checksum(None))));
    assert_eq!(stage.settle(&body_for(&own, 5, attacker)).await.json()["success"], true);
    assert_eq!(listed().await, found, "and nobody else puts its own in that place");
}

#[tokio::test]
async fn a_resource_is_listed_in_its_own_words_by_whoever_paid_what_it_asks_for() {
    let (stage, shop) = (stage().await, shop(RECEIVER).await);
    let own = format!("{}/weather", shop.url());
    let listed = async |amount: u128, nonce: u8| -> Value {
        let settled = stage.settle(&body_over(amount, &own, nonce, RECEIVER)).await.json();
        assert_eq!(settled["success"], true, "{settled}");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stage.client.get("/discovery/resources").await.json()["items"].clone()
    };
    assert_eq!(listed(1, 1).await, json!([]), "a unit is not what it asks for");
    let found = listed(1_000, 2).await;
    let told = (&found[0]["metadata"]["description"], &found[0]["metadata"]["info"]["of"]);
    assert_eq!(told, (&json!("by the shop"), &json!("the shop")), "and nothing is by its payer: {found}");
    assert_eq!(found[0]["accepts"][0]["amount"], "1000", "{found}");
    assert_eq!(listed(1, 3).await, found, "nobody else writes anything there");
}

#[tokio::test]
async fn a_page_of_the_list_is_what_it_was_asked_for() {
    let (stage, shop) = (stage().await, shop(RECEIVER).await);
    for (nonce, path) in (1..).zip(["weather", "tides", "news"]) {
        let settled = stage.settle(&body_for(&format!("{}/{path}", shop.url()), nonce, RECEIVER)).await.json();
        assert_eq!(settled["success"], true, "{settled}");
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for (query, limit, offset, expected) in [
        ("", 100, 0, ["news", "tides", "weather"].as_slice()),
        ("?limit=1&offset=1", 1, 1, &["tides"]),
        ("?limit=2", 2, 0, &["news", "tides"]),
        ("?offset=2", 100, 2, &["weather"]),
        ("?offset=9", 100, 9, &[]),
    ] {
        let page = stage.client.get(&format!("/discovery/resources{query}")).await.json();
        let expected: Vec<String> = expected.iter().map(|path| format!("{}/{path}", shop.url())).collect();
        let items = page["items"].as_array().unwrap();
        let found: Vec<&str> = items.iter().map(|item| item["resource"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query}");
        assert_eq!(page["pagination"], json!({ "limit": limit, "offset": offset, "total": 3 }), "{query}");
    }
}

/// A request in this form that is refused, because its server asks for other terms than were taken up.
fn refused_body(form: Form) -> String {
    let mut body: Value = serde_json::from_str(&body_of(form, 1)).unwrap();
    body["paymentRequirements"]["maxTimeoutSeconds"] = json!(299);
    body.to_string()
}

#[tokio::test]
async fn a_receiver_that_asks_too_often_waits_and_others_do_not() {
    // Whoever names it is not it: only its token empties its bucket.
    for form in FORMS {
        let stage = stage().await;
        let body = refused_body(form);
        for path in ["/settle", "/verify"] {
            let mut answers = Vec::new();
            let headers =
                format!("content-type: application/json\r\nauthorization: Bearer {}\r\n", stage.token.expose());
            for _ in 0..32 {
                answers.push(stage.client.post_with(path, &headers, &body).await);
            }
            assert!(answers[..30].iter().all(|answer| answer.status != 429), "{form:?} {path}: answered");
            let last = answers.last().unwrap();
            let reason = if path == "/settle" { "errorReason" } else { "invalidReason" };
            assert_eq!((last.status, &last.json()[reason]), (429, &json!("rate_limited")), "{form:?} {path}");
            assert_eq!(last.headers["retry-after"], "1", "{form:?} {path}");
            assert_ne!(stage.client.post(path, &body).await.status, 429, "{form:?} {path}: whoever only names it");
        }
        assert_eq!(stage.chain.sent(), 0, "{form:?}");
    }
}

#[tokio::test]
async fn a_receiver_a_request_makes_no_new_bucket_and_who_shows_a_token_is_no_stranger() {
    for form in FORMS {
        let stage = stage().await;
        let body = refused_body(form);
        for path in ["/settle", "/verify"] {
            let mut statuses = Vec::new();
            for receiver in 0..48 {
                // Every other one names the receiver that has a token.
                let named = if receiver % 2 == 0 { format!("00000001{receiver:02}") } else { "0000000044".to_owned() };
                let body = body.replace("0000000044", &named);
                statuses.push(stage.client.post(path, &body).await.status);
            }
            assert!(statuses[..40].iter().all(|status| *status != 429), "{form:?} {path}: answered: {statuses:?}");
            assert_eq!(statuses.last(), Some(&429), "{form:?} {path}: {statuses:?}");
            let bearer = format!("authorization: Bearer {}\r\n", stage.token.expose());
            let headers = format!("content-type: application/json\r\n{bearer}");
            assert_ne!(stage.client.post_with(path, &headers, &body).await.status, 429, "{form:?} {path}");
        }
        assert_eq!(stage.chain.sent(), 0, "{form:?}");
    }
}

#[tokio::test]
async fn where_little_is_left_for_gas_it_is_kept_for_receivers_that_show_a_token() {
    let stage = stage().await;
    stage.chain.ledger.lock().unwrap().is_poor = true;
    let body = body("exact", 1, 1_000);
    for _ in 0..2 {
        let stranger = stage.settle(&body).await;
        let told = stranger.json();
        assert_eq!((stranger.status, &told["errorReason"]), (503, &json!("facilitator_gas_short")), "{told}");
        let message = told["errorMessage"].as_str().unwrap();
        // 150,000 of gas at today's price.
        assert!(message.contains("has 20999 for gas, and keeps 3150000000"), "{message}");
        assert!(message.contains("hint: send the facilitator's address coins for gas"), "{message}");
        assert!(stranger.headers.contains_key("retry-after"));
    }
    assert_eq!(stage.chain.sent(), 0);
    assert_eq!(stage.client.post("/verify", &body).await.json()["isValid"], true, "to verify costs no gas");
    assert_eq!(stage.settle_as(&stage.token, &body).await.json()["success"], true);
    assert_eq!(stage.settle(&body).await.json()["success"], true, "what is settled is told to everybody");
    assert_eq!(stage.chain.sent(), 1);
}

#[tokio::test]
async fn what_is_no_request_or_too_large_is_refused_before_anything_is_asked() {
    let stage = stage().await;
    for body in ["", "{", "[]", "{}", r#"{"paymentPayload":{},"paymentRequirements":{}}"#, r#"{"a":1,"a":2}"#] {
        for path in ["/verify", "/settle"] {
            let refused = stage.client.post(path, body).await;
            assert_eq!(refused.status, 400, "{path} {body}: {}", refused.body);
            assert!(refused.body.contains("invalid_payload"), "{}", refused.body);
        }
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(300 << 10));
    assert!([400, 413].contains(&stage.client.post("/settle", &large).await.status));
    assert_eq!(stage.chain.sent(), 0);
}
