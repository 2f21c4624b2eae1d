//! A ledger of one that shows receipts and takes reports and challenges; it can lose them, and go away.

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
    Action, Digest, EpochRecord, NodeRecord, PublicKey, ReceiptStatus, SignedReceipt, SignedTransaction, Standing,
    Version,
    service::{CertifiedEpoch, ChallengeView, ReceiptView},
};
use serde_json::{Value, json};

use super::{CHAIN, Worker, loopback};

#[derive(Default)]
pub struct Ledger {
    pub nodes: Vec<NodeRecord>,
    pub receipts: BTreeMap<Digest, ReceiptView>,
    pub epoch: u64,
    pub window: u32,
    /// When the newest epoch ended.
    pub time_ms: u64,
    pub actions: Vec<Action>,
    /// Open challenges, and who opened them.
    pub open: BTreeMap<Digest, PublicKey>,
    /// Transactions to take and lose.
    pub loses: usize,
    /// An epoch whose receipts nobody can read.
    pub poisoned: Option<u64>,
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
        let ledger: Shared = Arc::new(Mutex::new(Ledger { epoch: 100, window: 15, ..Ledger::default() }));
        let router = Router::new()
            .route("/nodes", get(|State(l): State<Shared>| async move { nouns(&l.lock().unwrap().nodes) }))
            .route("/accounts/{key}", get(account))
            .route("/transactions", post(take))
            .route("/challenges", get(challenges))
            .route("/receipts/{id}", get(receipt))
            .route("/epochs/latest", get(latest))
            .route("/epochs/{epoch}/receipts", get(receipts))
            .layer(middleware::from_fn_with_state(Arc::clone(&ledger), presence))
            .with_state(Arc::clone(&ledger));
        let server = Server::start(loopback(), router, network::Limits::default()).await.unwrap();
        Self { server, ledger }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn register(&self, worker: &Worker) {
        self.change(|ledger| ledger.nodes.push(worker.record()));
    }

    /// Anchors in an epoch that nobody has seen before.
    pub fn anchor(&self, receipt: SignedReceipt) -> Digest {
        self.change(|ledger| {
            let (id, worker) = (receipt.receipt.id(), receipt.receipt.worker);
            let (gateway, epoch) = (Digest::ZERO, ledger.epoch + 1);
            let standing = Standing::Anchored;
            let status =
                ReceiptStatus { receipt: id, worker, gateway, epoch, index: 0, standing, audits: 0, slashed: 0 };
            ledger.receipts.insert(id, ReceiptView { receipt, status });
            ledger.epoch += 1;
            id
        })
    }

    /// As if the challenge of the receipt, if there is one, had ended like this.
    pub fn end(&self, receipt: &Digest, standing: Standing) {
        self.change(|ledger| {
            ledger.open.remove(receipt);
            ledger.receipts.get_mut(receipt).unwrap().status.standing = standing;
        });
    }

    pub fn actions(&self) -> Vec<Action> {
        self.change(|ledger| ledger.actions.clone())
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

async fn account(State(ledger): State<Shared>) -> Json<Value> {
    Json(json!({ "balance": "1000", "nonce": ledger.lock().unwrap().actions.len() }))
}

async fn take(State(ledger): State<Shared>, Noun(signed): Noun<SignedTransaction>) -> (StatusCode, Json<Value>) {
    assert!(signed.signature_holds() && signed.transaction.chain_id == CHAIN);
    let (id, sender, action) = (signed.transaction.id(), signed.transaction.sender, signed.transaction.action);
    let mut ledger = ledger.lock().unwrap();
    ledger.actions.push(action.clone());
    if ledger.loses > 0 {
        ledger.loses -= 1;
        return (StatusCode::ACCEPTED, Json(json!({ "id": id.to_string() })));
    }
    let (receipt, standing, audits) = match action {
        Action::ReportAudit(report) => (report.receipt, Standing::Audited, 1),
        Action::Challenge(challenge) => {
            ledger.open.insert(challenge.receipt, sender);
            (challenge.receipt, Standing::Challenged, 0)
        }
        other => panic!("{other:?}"),
    };
    let view = ledger.receipts.get_mut(&receipt).unwrap();
    view.status.standing = standing;
    view.status.audits += audits;
    (StatusCode::ACCEPTED, Json(json!({ "id": id.to_string() })))
}

async fn challenges(State(ledger): State<Shared>) -> Response {
    let ledger = ledger.lock().unwrap();
    let view = |(id, challenger): (&Digest, &PublicKey)| ChallengeView {
        receipt: ledger.receipts[id].receipt.clone(),
        challenger: *challenger,
        opened_epoch: ledger.epoch,
        opening: None,
    };
    nouns(&ledger.open.iter().map(view).collect::<Vec<_>>())
}

async fn receipt(State(ledger): State<Shared>, Path(id): Path<String>) -> Result<Noun<ReceiptView>, Refusal> {
    let known = ledger.lock().unwrap().receipts.get(&Digest::from_hex(&id).unwrap()).cloned();
    known.map(Noun).ok_or_else(|| Refusal::not_found("unknown_receipt", "unknown"))
}

async fn receipts(State(ledger): State<Shared>, Path(epoch): Path<u64>) -> Response {
    let ledger = ledger.lock().unwrap();
    if ledger.poisoned == Some(epoch) {
        return "no list".into_response();
    }
    let anchored = ledger.receipts.values().filter(|view| view.status.epoch == epoch);
    nouns(&anchored.cloned().collect::<Vec<_>>())
}

async fn latest(State(ledger): State<Shared>) -> Noun<CertifiedEpoch> {
    let ledger = ledger.lock().unwrap();
    let record = EpochRecord {
        version: Version,
        chain_id: CHAIN,
        epoch: ledger.epoch,
        first_height: 1,
        last_height: 2,
        time_ms: ledger.time_ms,
        history_root: Digest::ZERO,
        receipts_root: Digest::ZERO,
        receipts_count: 0,
        receipts_sum: 0,
        verdicts_root: Digest::ZERO,
        state_root: Digest::ZERO,
        challenge_window: ledger.window,
    };
    Noun(CertifiedEpoch { record, certificate: None })
}
