//! `POST /v1/revenue`: what a publisher's models earned here, by model and day, for whoever signs with the publisher's key.

use std::sync::Arc;

use api::{ApiError, Code, Dialect, face};
use network::{
    axum::{body::Bytes, extract::State, response::Response},
    date, now_ms,
};
use payments::Address;
use protocol::{Canonical as _, Milliseconds, ModelRecord, PublicKey, Signature};
use serde_json::{Value, json};

use crate::{
    http::{answered, refusal},
    payment::{Desk, holder, lock},
    shared::Shared,
};

const DOMAIN: &str = "og/revenue/v1";
/// How far the asker's clock may stand from ours.
const AGE_MS_MAX: Milliseconds = 60_000;
/// Days of a model that are told, the last ones.
const DAYS_MAX: usize = 400;

protocol::record! {
    /// A publisher's question, for one gateway of one network, now.
    RevenueQuestion {
        chain_id: u64,
        gateway: PublicKey,
        publisher: PublicKey,
        asked_at_ms: Milliseconds,
    }
}

protocol::record! {
    /// The same with its signature.
    SignedRevenueQuestion { question: RevenueQuestion, signature: Signature, }
}

impl RevenueQuestion {
    pub fn sign(self, key: &crypto::SigningKey) -> SignedRevenueQuestion {
        let signature = key.sign(DOMAIN, &self.encode());
        SignedRevenueQuestion { question: self, signature }
    }
}

impl SignedRevenueQuestion {
    fn check(&self, shared: &Shared, now: Milliseconds) -> Result<(), ApiError> {
        let question = &self.question;
        let refused = |message: &str| Err(ApiError::new(Code::InvalidValue, message.to_owned()));
        if question.chain_id != shared.chain_id || question.gateway != shared.key.public_key() {
            return refused("The question is for another gateway or network.");
        }
        if now.abs_diff(question.asked_at_ms) > AGE_MS_MAX {
            return refused(
                "The question is older than a minute, or from the future: ask again, with a clock that is right.",
            );
        }
        if !question.publisher.verifies(DOMAIN, &question.encode(), &self.signature) {
            return refused("The question's signature is not the publisher's.");
        }
        Ok(())
    }
}

pub async fn revenue(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match told(&shared, &body) {
        Ok(told) => answered::json(&told),
        Err(error) => refusal::respond(&error, Dialect::OpenAi),
    }
}

fn told(shared: &Shared, body: &[u8]) -> Result<Value, ApiError> {
    let Some(desk) = &shared.desk else {
        return Err(ApiError::new(Code::InvalidValue, "This gateway takes no payments, so nobody earns here."));
    };
    let asked: SignedRevenueQuestion = face::read(body).map_err(|error| {
        ApiError::new(Code::InvalidValue, format!("The question cannot be read: {error}."))
            .with_hint("ask with: og revenue")
    })?;
    let now = now_ms();
    asked.check(shared, now)?;
    let publisher = &asked.question.publisher;
    // After its signature: nobody else can use a publisher's turns up.
    lock(&desk.revenue).take(holder(publisher), now).map_err(|wait_ms| {
        let message = "The publisher asks too often what its models earned.";
        let wait_s = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
        ApiError::new(Code::RateLimitExceeded, message).with_retry_after_s(wait_s)
    })?;
    Ok(of_publisher(shared, desk, publisher))
}

fn of_publisher(shared: &Shared, desk: &Desk, publisher: &PublicKey) -> Value {
    let view = shared.directory.view();
    let account: Address = holder(publisher);
    let own: Vec<&ModelRecord> = view.models.iter().filter(|model| account == model.publisher.0).collect();
    // Looked up one by one, and written in JSON when the books are others' again.
    let days = |model: &ModelRecord| -> Vec<_> { desk.till.books().revenue_of(&model.root).take(DAYS_MAX).collect() };
    let rows = own.into_iter().flat_map(|model| days(model).into_iter().map(move |day| (model, day)));
    let row = |(model, (day, opg, calls)): (&ModelRecord, (u64, u128, u64))| {
        let (root, opg) = (model.root.to_string(), opg.to_string());
        json!({ "model": &model.name[..], "model_root": root, "day": date(day), "calls": calls, "opg": opg })
    };
    let rows: Vec<Value> = rows.map(row).collect();
    let (held, free) = {
        let (books, own) = (desk.till.books(), payments::price::holder(account));
        (books.held_of(own), books.free_of(own))
    };
    json!({
        "publisher": publisher.to_string(),
        "account": account.to_checksum(None),
        // What models earned is divided: these are the publisher's own shares.
        "held": held.to_string(),
        // Of answers that broke off; what has receipts is the ledger's to say, and paid from there.
        "free": free.to_string(),
        "days": rows,
    })
}
