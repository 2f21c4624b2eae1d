//! What every answer says about its receipt.

use api::{Answered, Said};
use network::axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{delivery::Delivered, stages::Stages};

const RECEIPT: HeaderName = HeaderName::from_static("x-og-receipt");
const STAGES: HeaderName = HeaderName::from_static("server-timing");

/// True where the caller asks for receipt and opening in the answer.
pub fn wants_opening(headers: &HeaderMap) -> bool {
    headers.get("x-og-opening").is_some_and(|wish| wish == "include")
}

/// The assurance level asked for in a header.
pub fn assurance_wish(headers: &HeaderMap) -> Option<&str> {
    // A header that is no text is no level's word either, and refused as such.
    headers.get("x-og-assurance").map(|wish| wish.to_str().unwrap_or("(not text)"))
}

pub fn answered(delivered: Delivered, include_opening: bool) -> Answered {
    Answered { receipt: delivered.receipt, opening: delivered.opening, include_opening, payment: None }
}

/// A body of JSON, the receipts' ids beside it, and where the time went.
pub fn respond(body: String, said: &[Said], stages: &Stages) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Ok(told) = HeaderValue::from_str(&stages.told()) {
        response.headers_mut().insert(STAGES, told);
    }
    for said in said {
        if let Ok(value) = HeaderValue::from_str(&said.answered.receipt.receipt.id().to_string()) {
            response.headers_mut().append(RECEIPT, value);
        }
    }
    response
}

pub fn json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
