//! `POST /v1/revenue`: what a publisher's models earned here, by model and day, for whoever signs with the publisher's key.

use std::sync::Arc;

use api::{ApiError, Code, Dialect, face};
use network::{
    axum::{body::Bytes, extract::State, response::Response},
    now_ms,
};
use payments::Address;
use protocol::{Canonical as _, Digest, Milliseconds, PublicKey, Signature};
use serde_json::{Value, json};

use crate::{
    http::{answered, refusal},
    payment::{Desk, holder},
    shared::Shared,
};

const DOMAIN: &str = "og/revenue/v1";
/// How far the asker's clock may stand from ours.
const AGE_MS_MAX: Milliseconds = 60_000;

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
    asked.check(shared, now_ms())?;
    Ok(of_publisher(shared, desk, &asked.question.publisher))
}

fn of_publisher(shared: &Shared, desk: &Desk, publisher: &PublicKey) -> Value {
    let (view, books) = (shared.directory.view(), desk.till.books());
    let account: Address = holder(publisher);
    let name = |root: &Digest| {
        view.models
            .iter()
            .find(|model| model.root == *root && account == model.publisher.0)
            .map(|model| &model.name[..])
    };
    let rows = books.revenue().filter_map(|(root, day, opg, calls)| {
        let name = name(root)?;
        Some(json!({ "model": name, "model_root": root.to_string(), "day": date(day), "calls": calls, "opg": opg.to_string() }))
    });
    let rows: Vec<Value> = rows.collect();
    json!({
        "publisher": publisher.to_string(),
        "account": account.to_checksum(None),
        // What models earned is divided: these are the publisher's own shares.
        "held": books.held_of(payments::price::holder(account)).to_string(),
        // Of answers that broke off; what has receipts is the ledger's to say, and paid from there.
        "free": books.free_of(payments::price::holder(account)).to_string(),
        "days": rows,
    })
}

/// A day as people write it: years of 146,097 days a four centuries, counted from a March.
fn date(day: u64) -> String {
    let shifted = day.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_told_as_dates() {
        let cases = [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_833, "2027-01-15"),
            (20_787, "2026-11-30"),
        ];
        for (day, told) in cases {
            assert_eq!(date(day), told);
        }
    }
}
