//! `GET /v1/receipts/{id}` and its bundle: what the validators say, in JSON. Believed by nobody who verifies.

use std::sync::Arc;

use api::{ApiError, Code, Dialect, face::Face};
use network::{
    NetworkError,
    axum::{
        extract::{Path, Query, State},
        response::Response,
    },
};
use protocol::{Digest, GroupKey, ReceiptStatus, SignedReceipt, Standing, service::CertifiedEpoch};
use serde::{Deserialize, Serialize};

use crate::{
    http::{answered, refusal},
    shared::Shared,
    window,
};

#[derive(Serialize)]
struct ReceiptAnswer {
    receipt_id: String,
    state: &'static str,
    receipt: Face,
    /// Absent while the ledger has not anchored it.
    status: Option<Face>,
}

pub async fn show(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match find(&shared, &id).await {
        Ok(answer) => answered::json(&answer),
        Err(error) => refusal::respond(&error, Dialect::OpenAi),
    }
}

/// Whom a bundle is for.
#[derive(Deserialize)]
pub struct Reader {
    /// The network key that they pinned, in hexadecimal.
    pinned: Option<String>,
}

pub async fn bundle(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(reader): Query<Reader>,
) -> Response {
    let exported = async {
        let (id, pinned) = (read_id(&id)?, reader.pinned.as_deref().map(read_key).transpose()?);
        shared.ledger.bundle(&id, pinned.as_ref()).await.map_err(|error| told(&shared, &error, &id))
    };
    match exported.await {
        Ok(bundle) => answered::json(&Face::of(&bundle)),
        Err(error) => refusal::respond(&error, Dialect::OpenAi),
    }
}

async fn find(shared: &Shared, id: &str) -> Result<ReceiptAnswer, ApiError> {
    let id = read_id(id)?;
    let view = match shared.ledger.receipt_anywhere(&id).await {
        Ok(view) => view,
        Err(error) => {
            let waiting = shared.outbox.find(&id).ok_or_else(|| told(shared, &error, &id))?;
            return Ok(answer(&waiting, "evidenced", None));
        }
    };
    let latest = shared.ledger.latest_epoch().await.ok();
    Ok(answer(&view.receipt, state(&view.status, latest.as_ref()), Some(&view.status)))
}

fn answer(receipt: &SignedReceipt, state: &'static str, status: Option<&ReceiptStatus>) -> ReceiptAnswer {
    ReceiptAnswer {
        receipt_id: receipt.receipt.id().to_string(),
        state,
        receipt: Face::of(receipt),
        status: status.map(Face::of),
    }
}

fn read_key(text: &str) -> Result<GroupKey, ApiError> {
    GroupKey::from_hex(text).ok_or_else(|| {
        let message = "Invalid network key: expected 192 hexadecimal digits.";
        ApiError::new(Code::InvalidValue, message).with_param("pinned")
    })
}

fn read_id(id: &str) -> Result<Digest, ApiError> {
    Digest::from_hex(id).ok_or_else(|| {
        let message = "Invalid receipt id: expected 64 hexadecimal digits.";
        ApiError::new(Code::InvalidValue, message).with_param("id")
    })
}

/// The receipt's state in DESIGN's words; `final` once its window closed before the newest certified epoch.
fn state(status: &ReceiptStatus, latest: Option<&CertifiedEpoch>) -> &'static str {
    let is_closed = latest.is_some_and(|latest| window::is_closed(status, &latest.record));
    match status.standing {
        Standing::Refuted | Standing::Withheld => "refuted",
        Standing::Challenged => "challenged",
        Standing::Anchored | Standing::Audited | Standing::Upheld if is_closed => "final",
        Standing::Audited => "audited",
        Standing::Anchored | Standing::Upheld => "anchored",
    }
}

fn told(shared: &Shared, error: &NetworkError, id: &Digest) -> ApiError {
    match (error, error.code()) {
        (_, Some("not_certified_yet")) => {
            let message = format!("The receipt {id} is not in a certified epoch yet.");
            ApiError::new(Code::NotCertifiedYet, message).with_retry_after_s(1)
        }
        (NetworkError::Refused { status: 404, .. }, _) if shared.outbox.find(id).is_some() => {
            let message = format!("The receipt {id} waits to be anchored.");
            ApiError::new(Code::NotCertifiedYet, message).with_retry_after_s(1)
        }
        (NetworkError::Refused { status: 404, .. }, _) => {
            ApiError::new(Code::UnknownReceipt, format!("The ledger knows no receipt {id}.")).with_param("id")
        }
        _ => {
            let message = format!("No validator could answer: {error}.");
            ApiError::new(Code::ValidatorsAway, message).with_retry_after_s(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(standing: Standing) -> ReceiptStatus {
        let (receipt, worker, gateway) = (Digest::ZERO, Digest::ZERO, Digest::ZERO);
        ReceiptStatus { receipt, worker, gateway, epoch: 10, index: 0, standing, audits: 0, slashed: 0 }
    }

    fn latest(epoch: u64) -> CertifiedEpoch {
        CertifiedEpoch { record: window::latest(epoch), certificate: None }
    }

    #[test]
    fn a_receipt_is_final_once_its_window_has_closed_unless_it_is_challenged_or_refuted() {
        let cases = [
            (Standing::Anchored, "anchored", "final"),
            (Standing::Audited, "audited", "final"),
            (Standing::Upheld, "anchored", "final"),
            (Standing::Challenged, "challenged", "challenged"),
            (Standing::Refuted, "refuted", "refuted"),
            (Standing::Withheld, "refuted", "refuted"),
        ];
        for (standing, open, closed) in cases {
            assert_eq!(state(&status(standing), Some(&latest(24))), open, "{standing}");
            assert_eq!(state(&status(standing), None), open, "{standing}");
            assert_eq!(state(&status(standing), Some(&latest(25))), closed, "{standing}");
        }
    }
}
