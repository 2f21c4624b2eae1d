//! A validator that holds what a test puts into it and takes every transaction.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use network::{
    Noun, Refusal, Server,
    axum::{
        Json, Router,
        extract::{Path, Request, State},
        http::StatusCode,
        middleware::{self, Next},
        response::{IntoResponse as _, Response},
        routing::{get, post},
    },
    nouns,
};
use protocol::{
    Action, Digest, EpochRecord, KeyRecord, PublicKey, Role, SignedTransaction, Version,
    registry::{OPEN_END, node_id},
    service::{CertifiedEpoch, ChallengeView},
};
use serde_json::{Value, json};

use super::{CHAIN, auditor_key, gateway_key, key, loopback, worker_key};

#[derive(Default)]
pub struct Ledger {
    pub keys: BTreeMap<PublicKey, KeyRecord>,
    /// When each closed epoch ended.
    pub epochs: BTreeMap<u64, u64>,
    pub challenges: Vec<ChallengeView>,
    /// What was done, in order.
    pub actions: Vec<Action>,
    /// How often a key was asked for.
    pub lookups: usize,
    /// Everything is answered with 503.
    pub is_away: bool,
}

type Shared = Arc<Mutex<Ledger>>;

pub struct Validator {
    server: Server,
    ledger: Shared,
}

impl Validator {
    pub async fn start() -> Self {
        let ledger = Shared::default();
        let router = Router::new()
            .route("/keys/{key}", get(find))
            .route("/accounts/{key}", get(account))
            .route("/transactions", post(take))
            .route("/challenges", get(|State(l): State<Shared>| async move { nouns(&l.lock().unwrap().challenges) }))
            .route("/epochs/latest", get(latest))
            .route("/epochs/{epoch}", get(epoch))
            .layer(middleware::from_fn_with_state(Arc::clone(&ledger), presence))
            .with_state(Arc::clone(&ledger));
        let server = Server::start(loopback(), router, network::Limits::default()).await.unwrap();
        let validator = Self { server, ledger };
        validator.register(&worker_key().public_key(), Role::Worker);
        validator.register(&gateway_key().public_key(), Role::Gateway);
        validator.register(&auditor_key().public_key(), Role::Auditor);
        validator.register(&key(4).public_key(), Role::Validator);
        validator
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn register(&self, key: &PublicKey, role: Role) {
        let record = KeyRecord { key: *key, node: node_id(key), role, valid_from: 3, valid_until: OPEN_END };
        self.change(|ledger| ledger.keys.insert(*key, record));
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut self.ledger.lock().unwrap())
    }
}

async fn presence(State(ledger): State<Shared>, request: Request, next: Next) -> Response {
    if ledger.lock().unwrap().is_away {
        return Refusal::unavailable("away", "away").into_response();
    }
    next.run(request).await
}

async fn find(State(ledger): State<Shared>, Path(key): Path<String>) -> Result<Noun<KeyRecord>, Refusal> {
    let mut ledger = ledger.lock().unwrap();
    ledger.lookups += 1;
    let known = ledger.keys.get(&PublicKey::from_hex(&key).unwrap()).cloned();
    known.map(Noun).ok_or_else(|| Refusal::not_found("unknown_key", "unknown"))
}

async fn account(State(ledger): State<Shared>) -> Json<Value> {
    Json(json!({ "balance": "1000", "nonce": ledger.lock().unwrap().actions.len() }))
}

async fn take(State(ledger): State<Shared>, Noun(signed): Noun<SignedTransaction>) -> (StatusCode, Json<Value>) {
    assert!(signed.signature_holds());
    let id = signed.transaction.id();
    ledger.lock().unwrap().actions.push(signed.transaction.action);
    (StatusCode::ACCEPTED, Json(json!({ "id": id.to_string() })))
}

async fn latest(State(ledger): State<Shared>) -> Result<Noun<CertifiedEpoch>, Refusal> {
    let latest = ledger.lock().unwrap().epochs.last_key_value().map(|(epoch, time_ms)| (*epoch, *time_ms));
    let (epoch, time_ms) = latest.ok_or_else(|| Refusal::not_found("not_certified_yet", "none"))?;
    Ok(Noun(certified(epoch, time_ms)))
}

async fn epoch(State(ledger): State<Shared>, Path(epoch): Path<u64>) -> Result<Noun<CertifiedEpoch>, Refusal> {
    let time_ms = ledger.lock().unwrap().epochs.get(&epoch).copied();
    Ok(Noun(certified(epoch, time_ms.ok_or_else(|| Refusal::not_found("unknown_epoch", "none"))?)))
}

fn certified(epoch: u64, time_ms: u64) -> CertifiedEpoch {
    let record = EpochRecord {
        version: Version,
        chain_id: CHAIN,
        epoch,
        first_height: epoch,
        last_height: epoch,
        time_ms,
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
