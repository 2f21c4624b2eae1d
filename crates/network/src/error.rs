//! Errors on the wire: `{"error": {"code", "message", "hint"}}` with a matching HTTP status.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use protocol::DecodeError;
use serde_json::{Value, json};
use thiserror::Error;

/// Characters of an address that an error says.
const URL_SHOWN_MAX: usize = 160;

/// A node's "no": what was wrong, in a word for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    /// When the same may be asked again, where that is known.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, retry_after_s: None }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn with_retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A body is not the canonical bytes that were expected.
    pub fn bad_encoding(error: &DecodeError) -> Self {
        Self::bad_request("bad_encoding", format!("failed to decode the body: {error}"))
            .with_hint("bodies are canonical bytes, see specs/interfaces.md")
    }

    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({ "error": { "code": self.code, "message": self.message, "hint": self.hint } });
        let mut response = (self.status, Json(error)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An address as people read it: without its query, which is keys and proofs, and no longer than a line or two.
fn shown(url: &str) -> String {
    let place = url.split('?').next().unwrap_or_default();
    let text: String = place.chars().take(URL_SHOWN_MAX).collect();
    if text.len() < url.len() { text + "…" } else { text }
}

/// Why another node gave no usable answer.
#[derive(Clone, Debug, Error)]
pub enum NetworkError {
    #[error("failed to reach {}: {cause}", shown(.url))]
    Unreachable { url: String, cause: String },
    #[error("{} did not answer in time", shown(.url))]
    Timeout { url: String },
    #[error("{} answered more than {limit} bytes", shown(.url))]
    TooLarge { url: String, limit: usize },
    #[error("{} refused with {status}: {message} ({code})", shown(.url))]
    Refused { url: String, status: u16, code: String, message: String },
    #[error("{} sent bytes that are not what was asked for: {source}", shown(.url))]
    Decode { url: String, source: DecodeError },
    #[error("{url} is not an address of the form http://host:port or https://host")]
    Address { url: String },
    #[error(
        "{url} cannot be checked, because this machine has no roots of certificates: {cause}; hint: install ca-certificates, or name a file of roots in SSL_CERT_FILE"
    )]
    Roots { url: String, cause: String },
    #[error(
        "{found} validators at most say the same about {path}, {needed} expected; hint: try again, or name more validators"
    )]
    Disagreement { path: String, found: usize, needed: usize },
    #[error("pages of {path} are out of order, or without end")]
    Disordered { path: String },
    #[error("failed to listen on {address}: {cause}")]
    Listen { address: String, cause: String },
}

impl NetworkError {
    /// True where the same call may succeed later, or with another node.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Disagreement { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::TooLarge { .. }
            | Self::Decode { .. }
            | Self::Address { .. }
            | Self::Roots { .. }
            | Self::Disordered { .. }
            | Self::Listen { .. } => false,
        }
    }

    /// The other node's own word for its refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Disagreement { .. }
            | Self::TooLarge { .. }
            | Self::Decode { .. }
            | Self::Address { .. }
            | Self::Roots { .. }
            | Self::Disordered { .. }
            | Self::Listen { .. } => None,
        }
    }

    pub(crate) fn refused(url: &str, status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let word = |name: &str| body["error"][name].as_str().unwrap_or("none given").chars().take(500).collect();
        Self::Refused { url: url.to_owned(), status, code: word("code"), message: word("message") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_without_the_digits_of_a_query_or_of_a_path_without_end() {
        let refused = |url: &str| NetworkError::refused(url, 404, b"{}").to_string();
        assert!(refused("http://n/receipts/7").starts_with("http://n/receipts/7 refused with 404: "));
        assert!(
            refused(&format!("http://n/bundle?pinned={}", "ab".repeat(96))).starts_with("http://n/bundle… refused")
        );
        let without_end = refused(&format!("http://n/{}", "9".repeat(5_000)));
        assert!(without_end.chars().count() < 300 && without_end.contains("9… refused with 404"), "{without_end}");
    }
}
