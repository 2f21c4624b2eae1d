//! A ledger of one: anchors every receipt of a batch that it does not know yet, in the order of nonces, can go away.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crypto::threshold::GroupSignature;
use network::{
    Noun, Refusal, SHARES_A_PAGE, Server,
    axum::{
        Json, Router,
        extract::{Path, Request, State},
        http::StatusCode,
        middleware::{self, Next},
        response::{IntoResponse, Response},
        routing::{get, post},
    },
    nouns,
};
use protocol::{
    Action, Digest, DuesRecord, EpochRecord, EvmAddress, KeyRecord, List, ModelRecord, NodeRecord, PublicKey,
    ReceiptStatus, Role, ShareRecord, ShortBundle, SignedReceipt, SignedTransaction, Standing, Version,
    bundle::ReceiptInclusion,
    registry::OPEN_END,
    service::{CertifiedEpoch, GatewayCredit, ReceiptView},
    short_bundle::{ShortInclusion, ShortStatus},
    transaction::{BATCH_MAX, PayShares},
};
use serde_json::{Value, json};

use super::{Worker, loopback, models, node};

#[derive(Default)]
pub struct Ledger {
    pub models: Vec<ModelRecord>,
    pub nodes: Vec<NodeRecord>,
    pub keys: BTreeMap<PublicKey, KeyRecord>,
    pub receipts: BTreeMap<Digest, ReceiptView>,
    /// Open challenges.
    pub challenges: Vec<protocol::service::ChallengeView>,
    pub nonces: BTreeMap<PublicKey, u64>,
    /// What waits for a transaction before it.
    pub pool: BTreeMap<(PublicKey, u64), Action>,
    /// How often each receipt was posted.
    pub posted: BTreeMap<Digest, u32>,
    pub batches: Vec<usize>,
    /// Payments of shares that were made.
    pub payments: Vec<PayShares>,
    /// Whom the gateway owes, where a test says it.
    pub owed: BTreeMap<EvmAddress, ShareRecord>,
    /// How far the gateway may owe, where a test says it.
    pub credit: Option<GatewayCredit>,
    /// So many epochs are closed after the sixth.
    pub later: u64,
    /// Everything is answered with 503.
    pub is_away: bool,
    /// Takes transactions and loses them.
    pub loses: bool,
    /// Executes batches of receipts and refuses each receipt.
    pub refuses_receipts: bool,
    /// Takes so many more transactions and loses them.
    pub loses_next: usize,
    /// Hands out bundles.
    pub certifies: bool,
    /// Says this to the next transactions instead of taking them.
    pub refuses: Vec<(u16, &'static str)>,
}

type Shared = Arc<Mutex<Ledger>>;

pub struct Validator {
    server: Server,
    pub ledger: Shared,
}

impl Validator {
    pub async fn start() -> Self {
        let ledger = Shared::default();
        ledger.lock().unwrap().models = models();
        let router = Router::new()
            .route("/nodes", get(|State(l): State<Shared>| async move { nouns(&l.lock().unwrap().nodes) }))
            .route("/models", get(|State(l): State<Shared>| async move { nouns(&l.lock().unwrap().models) }))
            .route("/nodes/{node}", get(node_of))
            .route("/dues/{gateway}", get(dues))
            .route("/dues/{gateway}/credit", get(credit))
            .route("/dues/{gateway}/shares", get(shares))
            .route("/dues/{gateway}/shares/after/{payee}", get(shares_after))
            .route("/keys/{key}", get(key))
            .route("/accounts/{key}", get(account))
            .route("/transactions", post(take))
            .route("/receipts", post(anchored))
            .route("/receipts/{id}", get(receipt))
            .route("/receipts/{id}/bundle", get(bundle))
            .route("/challenges", get(|State(l): State<Shared>| async move { nouns(&l.lock().unwrap().challenges) }))
            .route("/epochs/{epoch}/receipts", get(receipts_of))
            .route("/epochs/latest", get(latest))
            .layer(middleware::from_fn_with_state(Arc::clone(&ledger), presence))
            .with_state(Arc::clone(&ledger));
        let server = Server::start(loopback(), router, network::Limits::default()).await.unwrap();
        Self { server, ledger }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn register(&self, worker: &Worker) {
        let record = node(&worker.key, &worker.url());
        let key = worker.key.public_key();
        let mut ledger = self.ledger.lock().unwrap();
        let node = record.node;
        ledger.keys.insert(key, KeyRecord { key, node, role: Role::Worker, valid_from: 1, valid_until: OPEN_END });
        ledger.nodes.push(record);
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut self.ledger.lock().unwrap())
    }

    pub fn anchored(&self) -> usize {
        self.change(|ledger| ledger.receipts.len())
    }
}

async fn presence(State(ledger): State<Shared>, request: Request, next: Next) -> Response {
    if ledger.lock().unwrap().is_away {
        return Refusal::unavailable("away", "away").into_response();
    }
    next.run(request).await
}

async fn key(State(ledger): State<Shared>, Path(key): Path<String>) -> Result<Noun<KeyRecord>, Refusal> {
    let key = PublicKey::from_hex(&key).unwrap();
    let known = ledger.lock().unwrap().keys.get(&key).cloned();
    known.map(Noun).ok_or_else(|| Refusal::not_found("unknown_key", "unknown"))
}

async fn node_of(State(ledger): State<Shared>, Path(id): Path<String>) -> Result<Noun<NodeRecord>, Refusal> {
    let known = ledger.lock().unwrap().nodes.iter().find(|node| node.node.to_string() == id).cloned();
    known.map(Noun).ok_or_else(|| Refusal::not_found("unknown_node", "unknown"))
}

async fn dues(State(ledger): State<Shared>, Path(id): Path<String>) -> Noun<DuesRecord> {
    let payments = u64::try_from(ledger.lock().unwrap().payments.len()).unwrap();
    Noun(DuesRecord { payments, ..DuesRecord::none(Digest::from_hex(&id).unwrap()) })
}

async fn credit(State(ledger): State<Shared>) -> Result<Noun<GatewayCredit>, Refusal> {
    let told = ledger.lock().unwrap().credit.clone();
    told.map(Noun).ok_or_else(|| Refusal::not_found("unknown", "unknown"))
}

/// All that was charged in windows that are closed and not paid, owed to two alike.
async fn shares(State(ledger): State<Shared>, Path(id): Path<String>) -> Response {
    let ledger = ledger.lock().unwrap();
    if !ledger.owed.is_empty() {
        return nouns(&ledger.owed.values().take(SHARES_A_PAGE).cloned().collect::<Vec<_>>());
    }
    let charged: u128 = ledger.receipts.values().map(|view| view.receipt.receipt.charge).sum();
    let paid: u128 = ledger.payments.iter().flat_map(|payment| payment.shares.iter()).map(|share| share.due).sum();
    let due = if ledger.later > 15 { charged - paid } else { 0 };
    let gateway = Digest::from_hex(&id).unwrap();
    let share = |payee, fresh| ShareRecord { gateway, payee: EvmAddress([payee; 20]), old: 0, fresh, since: 1 };
    let shares = [share(3, due / 2), share(4, due - due / 2)];
    nouns(&shares.into_iter().filter(|share| share.due() > 0).collect::<Vec<_>>())
}

async fn shares_after(State(ledger): State<Shared>, Path((_, payee)): Path<(String, String)>) -> Response {
    let after = EvmAddress(crypto::digest::read_hex(payee.strip_prefix("0x").unwrap()).unwrap());
    let ledger = ledger.lock().unwrap();
    let behind = ledger.owed.values().filter(|share| share.payee > after);
    nouns(&behind.take(SHARES_A_PAGE).cloned().collect::<Vec<_>>())
}

async fn latest(State(ledger): State<Shared>) -> Noun<CertifiedEpoch> {
    let mut latest = epoch();
    latest.record.epoch += ledger.lock().unwrap().later;
    Noun(latest)
}

async fn account(State(ledger): State<Shared>, Path(key): Path<String>) -> Json<Value> {
    let Some(key) = PublicKey::from_hex(&key) else {
        return Json(json!({ "balance": u128::MAX.to_string(), "nonce": 0 }));
    };
    let ledger = ledger.lock().unwrap();
    let next = ledger.nonces.get(&key).copied().unwrap_or(0);
    let free = (next..).find(|nonce| !ledger.pool.contains_key(&(key, *nonce))).unwrap();
    Json(json!({ "balance": "1000", "nonce": free }))
}

async fn receipt(State(ledger): State<Shared>, Path(id): Path<String>) -> Result<Noun<ReceiptView>, Refusal> {
    let known = ledger.lock().unwrap().receipts.get(&Digest::from_hex(&id).unwrap()).cloned();
    known.map(Noun).ok_or_else(|| Refusal::not_found("unknown_receipt", "unknown"))
}

async fn receipts_of(State(ledger): State<Shared>) -> Response {
    nouns(&ledger.lock().unwrap().receipts.values().cloned().collect::<Vec<_>>())
}

/// Names one that nobody asked after as well, which is nobody's business.
async fn anchored(State(ledger): State<Shared>, Noun(ids): Noun<List<Digest, BATCH_MAX>>) -> Response {
    let ledger = ledger.lock().unwrap();
    let known = ids.iter().filter(|id| ledger.receipts.contains_key(id)).copied();
    nouns(&known.chain([Digest([0xaa; 32])]).collect::<Vec<_>>())
}

async fn bundle(State(ledger): State<Shared>, Path(id): Path<String>) -> Result<Noun<ShortBundle>, Refusal> {
    let ledger = ledger.lock().unwrap();
    match ledger.receipts.get(&Digest::from_hex(&id).unwrap()) {
        Some(view) if ledger.certifies => Ok(Noun(bundle_of(view))),
        Some(_) => Err(Refusal::new(StatusCode::CONFLICT, "not_certified_yet", "wait")),
        None => Err(Refusal::not_found("unknown_receipt", "unknown")),
    }
}

/// In the right shape; proves nothing.
fn bundle_of(view: &ReceiptView) -> ShortBundle {
    let (record, status) = (epoch().record, &view.status);
    ShortBundle {
        version: Version,
        receipt: view.receipt.clone(),
        opening: None,
        inclusion: ShortInclusion::of(&ReceiptInclusion { epoch: record, index: status.index, path: List::default() }),
        as_of: None,
        certificate: GroupSignature([7; 48]),
        key_valid_until: OPEN_END,
        key_path: List::default(),
        status: ShortStatus {
            gateway: status.gateway,
            standing: status.standing,
            audits: status.audits,
            slashed: status.slashed,
        },
        status_path: List::default(),
        rotations: List::default(),
    }
}

async fn take(
    State(ledger): State<Shared>,
    Noun(signed): Noun<SignedTransaction>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut ledger = ledger.lock().unwrap();
    if let Some((status, code)) = ledger.refuses.pop() {
        return Err(Refusal::new(StatusCode::from_u16(status).unwrap(), code, "told to"));
    }
    assert!(signed.signature_holds());
    let transaction = signed.transaction;
    let next = ledger.nonces.get(&transaction.sender).copied().unwrap_or(0);
    let place = (transaction.sender, transaction.nonce);
    if transaction.nonce < next || ledger.pool.contains_key(&place) {
        let code = if transaction.nonce < next { "nonce_too_low" } else { "nonce_too_high" };
        return Err(Refusal::new(StatusCode::CONFLICT, code, "another nonce"));
    }
    let id = transaction.id();
    let taken = || Ok((StatusCode::ACCEPTED, Json(json!({ "id": id.to_string() }))));
    if ledger.loses || ledger.loses_next > 0 {
        ledger.loses_next = ledger.loses_next.saturating_sub(1);
        return taken();
    }
    ledger.pool.insert(place, transaction.action);
    let mut next = (transaction.sender, next);
    while let Some(action) = ledger.pool.remove(&next) {
        match action {
            Action::PostReceipts(_) if ledger.refuses_receipts => {}
            Action::PostReceipts(batch) => ledger.anchor(batch.receipts.into_inner()),
            Action::PayShares(payment) => {
                if payment.number == u64::try_from(ledger.payments.len()).unwrap() {
                    for share in payment.shares.iter() {
                        ledger.owed.remove(&share.payee);
                    }
                    ledger.payments.push(payment);
                }
            }
            other => panic!("neither receipts nor shares: {other:?}"),
        }
        next.1 += 1;
    }
    ledger.nonces.insert(next.0, next.1);
    taken()
}

impl Ledger {
    fn anchor(&mut self, batch: Vec<SignedReceipt>) {
        self.batches.push(batch.len());
        for receipt in batch {
            let id = receipt.receipt.id();
            *self.posted.entry(id).or_default() += 1;
            let (worker, gateway) = (receipt.receipt.worker, Digest::ZERO);
            let index = u64::try_from(self.receipts.len()).unwrap();
            let (epoch, standing) = (5, Standing::Anchored);
            let status = ReceiptStatus { receipt: id, worker, gateway, epoch, index, standing, audits: 0, slashed: 0 };
            self.receipts.entry(id).or_insert(ReceiptView { receipt, status });
        }
    }
}

fn epoch() -> CertifiedEpoch {
    let record = EpochRecord {
        version: Version,
        chain_id: super::CHAIN,
        epoch: 6,
        first_height: 1,
        last_height: 2,
        time_ms: 1,
        history_root: Digest::ZERO,
        receipts_root: Digest::ZERO,
        receipts_count: 0,
        receipts_sum: 0,
        verdicts_root: Digest::ZERO,
        state_root: Digest::ZERO,
        challenge_window: 15,
    };
    CertifiedEpoch { record, certificate: None }
}
