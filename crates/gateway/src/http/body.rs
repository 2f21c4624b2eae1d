//! A JSON body, read within its limit and its time.

use std::time::Duration;

use api::{ApiError, Code, limits::BODY_BYTES_MAX};
use futures::StreamExt as _;
use network::axum::{
    body::Body,
    http::{HeaderMap, header},
};

/// Reads all of `body`; a client that trickles it is not waited for.
pub async fn read(headers: &HeaderMap, body: Body, wait: Duration) -> Result<Vec<u8>, ApiError> {
    check_type(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    tokio::time::timeout(wait, collect(body)).await.map_err(|_| {
        let message = format!("The body did not arrive within {} s.", wait.as_secs());
        ApiError::new(Code::RequestTimeout, message)
    })?
}

/// Anything but JSON is refused: a web page elsewhere may send forms and plain text here without asking the user.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = format!("Unsupported content type: expected 'application/json', but got '{essence}' instead.");
    Err(ApiError::new(Code::UnsupportedMediaType, message).with_hint("curl: -H 'content-type: application/json'"))
}

fn too_large() -> ApiError {
    ApiError::new(Code::RequestTooLarge, format!("The body is too large: at most {BODY_BYTES_MAX} bytes expected."))
}

async fn collect(body: Body) -> Result<Vec<u8>, ApiError> {
    let (mut pieces, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ApiError::new(Code::InvalidJson, "The body was cut off."))?;
        if piece.len() > BODY_BYTES_MAX.saturating_sub(bytes.len()) {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
