//! A JSON body, read within its limit and its time. Large ones have places of their own: else whoever opens many connections
//! would hold that many of them in memory.

use std::{sync::Arc, time::Duration};

use api::{ApiError, Code, limits::BODY_BYTES_MAX};
use futures::StreamExt as _;
use network::{
    Bytes,
    axum::{
        body::Body,
        http::{HeaderMap, header},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body, and its place where it is a large one.
pub struct Read {
    pub bytes: Bytes,
    pub place: Option<OwnedSemaphorePermit>,
}

/// Reads all of `body`, at most `limit`; a client that trickles it is not waited for.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    wait: Duration,
    large: &Arc<Semaphore>,
) -> Result<Read, ApiError> {
    check_type(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large(limit));
    }
    tokio::time::timeout(wait, collect(body, limit, large)).await.map_err(|_| {
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

fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::RequestTooLarge, format!("The body is too large: at most {limit} bytes expected."))
}

async fn collect(body: Body, limit: usize, large: &Arc<Semaphore>) -> Result<Read, ApiError> {
    let (mut pieces, mut bytes) = (body.into_data_stream(), Vec::new());
    let mut place = None;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ApiError::new(Code::InvalidJson, "The body was cut off."))?;
        if piece.len() > limit.saturating_sub(bytes.len()) {
            return Err(too_large(limit));
        }
        if place.is_none() && piece.len() > BODY_BYTES_MAX.saturating_sub(bytes.len()) {
            place = Some(Arc::clone(large).try_acquire_owned().map_err(|_| crowded())?);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Read { bytes: bytes.into(), place })
}

fn crowded() -> ApiError {
    let message = format!("Too many bodies of more than {BODY_BYTES_MAX} bytes are being read.");
    let refused = ApiError::new(Code::RateLimitExceeded, message).with_retry_after_s(1);
    refused.with_hint("tensors in base64 are a third as long")
}
