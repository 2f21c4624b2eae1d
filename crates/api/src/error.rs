//! Errors as OpenAI clients understand them: an HTTP status, a type, a code, the parameter, and a hint.

use serde::Serialize;
use thiserror::Error;

use crate::{json::JsonError, sse::json};

macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $status:literal, $kind:literal, $word:literal;)+) => {
        /// What went wrong, for code that branches: each has one HTTP status, one type and one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[$about])* $name,)+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }
            /// The `type` of the error object.
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$name => $kind,)+ }
            }
            /// The `code` of the error object.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

codes! {
    InvalidJson = 400, "invalid_request_error", "invalid_json";
    InvalidType = 400, "invalid_request_error", "invalid_type";
    InvalidValue = 400, "invalid_request_error", "invalid_value";
    MissingParameter = 400, "invalid_request_error", "missing_required_parameter";
    /// The parameter is known and nothing here can honour it.
    UnsupportedParameter = 400, "invalid_request_error", "unsupported_parameter";
    UnsupportedValue = 400, "invalid_request_error", "unsupported_value";
    TooLong = 400, "invalid_request_error", "string_above_max_length";
    TooMany = 400, "invalid_request_error", "array_above_max_length";
    ContextLengthExceeded = 400, "invalid_request_error", "context_length_exceeded";
    /// The call has a price, and no payment that covers it came with it.
    PaymentRequired = 402, "invalid_request_error", "payment_required";
    ModelNotFound = 404, "invalid_request_error", "model_not_found";
    UnknownPath = 404, "invalid_request_error", "unknown_url";
    UnknownReceipt = 404, "invalid_request_error", "unknown_receipt";
    MethodNotAllowed = 405, "invalid_request_error", "method_not_allowed";
    RequestTimeout = 408, "invalid_request_error", "request_timeout";
    NotCertifiedYet = 409, "invalid_request_error", "not_certified_yet";
    /// A payment identifier, or a payment that is being served, beside another request.
    PaymentConflict = 409, "invalid_request_error", "payment_conflict";
    /// The payer has to approve Permit2 for its token first.
    AllowanceRequired = 412, "invalid_request_error", "permit2_allowance_required";
    RequestTooLarge = 413, "invalid_request_error", "request_too_large";
    UnsupportedMediaType = 415, "invalid_request_error", "unsupported_media_type";
    /// This caller, or all callers together, ask too much at once.
    RateLimitExceeded = 429, "rate_limit_error", "rate_limit_exceeded";
    Internal = 500, "server_error", "internal_error";
    /// A worker failed after the answer began, and no other could go on.
    WorkerFailed = 502, "server_error", "worker_failed";
    /// The gateway lacks threads, memory or time for what comes before the answer.
    Overloaded = 503, "server_error", "gateway_overloaded";
    NoWorker = 503, "server_error", "no_worker_available";
    ValidatorsAway = 503, "server_error", "validators_unreachable";
    /// What the call costs, or whether its payment is good, cannot be told at the moment.
    PaymentsAway = 503, "server_error", "payments_unavailable";
    /// The gateway owes as much as its operator's own stake stands for: what it answered could not be anchored.
    CreditSpent = 503, "server_error", "gateway_credit_spent";
    /// The receipt could not be stored: nothing was acknowledged.
    NotDurable = 503, "server_error", "receipt_not_durable";
}

/// Whose clients are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    OpenAi,
    Anthropic,
}

/// Who can mend what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Caller,
    Network,
}

impl Code {
    pub const fn fault(self) -> Fault {
        // 429 is nobody's fault but load, which the network has to carry.
        if self.status() < 500 && self.status() != 429 { Fault::Caller } else { Fault::Network }
    }

    /// True where the same request may be answered later.
    pub const fn may_retry(self) -> bool {
        matches!(self.status(), 408 | 409 | 429 | 502 | 503)
    }

    /// The `type` of the error object in Anthropic's words.
    const fn anthropic_kind(self) -> &'static str {
        match self.status() {
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            500 => "api_error",
            502 | 503 => "overloaded_error",
            _ => "invalid_request_error",
        }
    }
}

/// A refusal or a failure, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    pub code: Code,
    pub message: String,
    /// The parameter at fault, as in `messages[0].content`.
    pub param: Option<String>,
    pub hint: Option<String>,
    /// Seconds after which to try again.
    pub retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    r#type: &'static str,
    code: &'static str,
    param: Option<&'a str>,
    hint: Option<&'a str>,
    /// `caller` or `network`: who can mend it; and whether the same request may be answered later.
    fault: &'static str,
    retry: bool,
}

#[derive(Serialize)]
struct AnthropicEnvelope<'a> {
    r#type: &'static str,
    error: Body<'a>,
}

impl ApiError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None, hint: None, retry_after_s: None }
    }

    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn with_retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub(crate) fn wrong_type(path: &str, found: &str, expected: &str) -> Self {
        let message = format!("Invalid type for '{path}': expected {expected}, but got {found} instead.");
        Self::new(Code::InvalidType, message).with_param(path)
    }

    pub(crate) fn wrong_value(path: &str, found: &str, expected: &str) -> Self {
        let message = format!("Invalid value for '{path}': expected {expected}, but got {found} instead.");
        Self::new(Code::InvalidValue, message).with_param(path)
    }

    pub(crate) fn missing(path: &str) -> Self {
        Self::new(Code::MissingParameter, format!("Missing required parameter: '{path}'.")).with_param(path)
    }

    /// The JSON of the body.
    pub fn to_json(&self, dialect: Dialect) -> String {
        let body = |kind| Body {
            message: &self.message,
            r#type: kind,
            code: self.code.word(),
            param: self.param.as_deref(),
            hint: self.hint.as_deref(),
            fault: match self.code.fault() {
                Fault::Caller => "caller",
                Fault::Network => "network",
            },
            retry: self.code.may_retry(),
        };
        match dialect {
            Dialect::OpenAi => json(&Envelope { error: body(self.code.kind()) }),
            Dialect::Anthropic => json(&AnthropicEnvelope { r#type: "error", error: body(self.code.anthropic_kind()) }),
        }
    }
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        let message = format!("We could not parse the JSON body of your request: {error}.");
        let refused = Self::new(Code::InvalidJson, message).with_hint("the body must be one JSON object in UTF-8");
        if error.path.is_empty() { refused } else { refused.with_param(error.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_an_error_is_frozen() {
        let error = ApiError::missing("messages").with_hint("give at least one");
        assert_eq!(
            error.to_json(Dialect::OpenAi),
            r#"{"error":{"message":"Missing required parameter: 'messages'.","type":"invalid_request_error","code":"missing_required_parameter","param":"messages","hint":"give at least one","fault":"caller","retry":false}}"#
        );
        let busy = ApiError::new(Code::NoWorker, "All are busy.").to_json(Dialect::Anthropic);
        let frozen = r#"{"type":"error","error":{"message":"All are busy.","type":"overloaded_error","code":"no_worker_available","param":null,"hint":null,"fault":"network","retry":true}}"#;
        assert_eq!(busy, frozen);
    }

    #[test]
    fn every_code_has_a_word_of_its_own_and_an_error_status() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert!((400..=599).contains(&code.status()), "{code:?}");
            let same = Code::ALL.iter().filter(|other| other.word() == code.word()).count();
            assert_eq!(same, 1, "{index} {code:?}");
        }
    }
}
