//! A call that is not served because it is not paid for: 402 with all ways to pay, or whatever else fits what was wrong.

use api::{ApiError, Code, Dialect};
use network::axum::{
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use payments::{
    scheme::{Fault, Refused},
    wire::{PaymentRequired, SettleResponse, header as wire},
};

use crate::http::refusal;

const REQUIRED: HeaderName = HeaderName::from_static(wire::REQUIRED);
const EXPOSE: HeaderValue =
    HeaderValue::from_static("PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-Upto-Session, X-OG-Receipt");

/// Why a call is not served.
pub enum Unpaid {
    /// No payment came.
    Nothing(Box<PaymentRequired>),
    /// One came that is not taken; the offers again, corrected where a channel's state was not what its payer thought.
    Refused(Refused, Box<PaymentRequired>),
    /// The caller's or our own fault before any offer could be made.
    Error(ApiError),
    /// It was answered before, for the very same payment under the same identifier.
    Again(Box<Response>),
    /// What came of a refund.
    Refunded(Box<SettleResponse>),
    /// What came of a deposit whose call has no place.
    Unseated(Box<SettleResponse>),
}

impl Unpaid {
    pub fn respond(self, dialect: Dialect) -> Response {
        let (error, required) = match self {
            Self::Nothing(required) => {
                let message = "The call has a price: pay for it by one of the offers in PAYMENT-REQUIRED.";
                let error = ApiError::new(Code::PaymentRequired, message);
                (error.with_hint("any x402 client pays by itself; or: og pay"), Some(required))
            }
            Self::Refused(refused, required) => (told(&refused), Some(required)),
            Self::Error(error) => (error, None),
            Self::Again(response) => return *response,
            Self::Refunded(settled) => return refunded(&settled),
            Self::Unseated(settled) => return unseated(&settled, dialect),
        };
        let mut response = refusal::respond(&error, dialect);
        let Some(required) = required.filter(|_| response.status() == 402 || response.status() == 412) else {
            return response;
        };
        if let Ok(value) = HeaderValue::from_str(&wire::write(&required.to_json())) {
            let headers = response.headers_mut();
            headers.insert(REQUIRED, value);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE);
            // What one payer is asked for is nobody else's answer.
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        with_legacy_body(response, &error, dialect, &required)
    }
}

/// Clients of version 1 read the offers in the body.
fn with_legacy_body(response: Response, error: &ApiError, dialect: Dialect, required: &PaymentRequired) -> Response {
    let mut body: serde_json::Value = serde_json::from_str(&error.to_json(dialect)).unwrap_or_default();
    let legacy = required.to_legacy_json();
    body["x402Version"] = legacy["x402Version"].clone();
    body["accepts"] = legacy["accepts"].clone();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, network::axum::body::Body::from(body.to_string()))
}

fn told(refused: &Refused) -> ApiError {
    let code = match refused.fault() {
        Fault::Payment => Code::PaymentRequired,
        Fault::Form | Fault::Unknown => Code::InvalidValue,
        Fault::Allowance => Code::AllowanceRequired,
        Fault::Conflict => Code::PaymentConflict,
        Fault::Ours => Code::PaymentsAway,
    };
    let message = format!("The payment is not taken: {refused} ({}).", refused.reason());
    let error = ApiError::new(code, message).with_hint(refused.hint()).with_param("PAYMENT-SIGNATURE");
    if refused.fault() == Fault::Ours { error.with_retry_after_s(2) } else { error }
}

fn unseated(settled: &SettleResponse, dialect: Dialect) -> Response {
    let mut response = refusal::respond(&told(&Refused::Full), dialect);
    if let Ok(value) = HeaderValue::from_str(&wire::write(&settled.to_json())) {
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static(wire::RESPONSE), value);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn refunded(settled: &SettleResponse) -> Response {
    use network::axum::response::IntoResponse as _;
    let body = settled.to_json();
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    if let Ok(value) = HeaderValue::from_str(&wire::write(&body)) {
        response.headers_mut().insert(HeaderName::from_static(wire::RESPONSE), value);
    }
    response
}
