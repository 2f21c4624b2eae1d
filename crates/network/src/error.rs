//! Errors on the wire: `{"error": {"code", "message", "hint"}}` with a matching HTTP status.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use protocol::DecodeError;
use serde_json::{Value, json};
use thiserror::Error;

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

/// Why another node gave no usable answer.
#[derive(Clone, Debug, Error)]
pub enum NetworkError {
    #[error("failed to reach {url}: {cause}")]
    Unreachable { url: String, cause: String },
    #[error("{url} did not answer in time")]
    Timeout { url: String },
    #[error("{url} answered more than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    #[error("{url} refused with {status}: {message} ({code})")]
    Refused { url: String, status: u16, code: String, message: String },
    #[error("{url} sent bytes that are not what was asked for: {source}")]
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
