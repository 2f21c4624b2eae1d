//! An error as an HTTP answer.

use api::{ApiError, Dialect};
use network::axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

pub fn respond(error: &ApiError, dialect: Dialect) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], error.to_json(dialect)).into_response();
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    // The official clients obey this before they look at the status.
    let retry = if error.code.may_retry() { "true" } else { "false" };
    response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static(retry));
    response
}
