//! Errors as clients tell them apart: by code, by words that they search for, by the bytes of a revert.

use alloy_primitives::Bytes;
use evm::{CallError, StateError, TraceError};
use serde::Serialize;

use crate::node::{NodeError, SubmitError};

const PARSE: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD: i64 = -32_601;
const PARAMS: i64 = -32_602;
const INTERNAL: i64 = -32_603;
const SERVER: i64 = -32_000;
const NOT_FOUND: i64 = -32_001;
const LIMIT: i64 = -32_005;
/// What clients know as history that is no longer there.
const PRUNED: i64 = 4_444;
/// What all libraries take for a revert, whose bytes they then decode.
const REVERTED: i64 = 3;

/// The `error` of an answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RpcError {
    pub code: i64,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn parse(message: impl Into<String>) -> Self {
        Self::new(PARSE, message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    pub(crate) fn no_method(name: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        Self::new(METHOD, format!("the method {name} does not exist/is not available"))
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(PARAMS, message)
    }

    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(SERVER, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(NOT_FOUND, message)
    }

    /// Something foreign was more than this server takes.
    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(LIMIT, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL, message)
    }
}

impl From<NodeError> for RpcError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Read(_) => Self::internal(error.to_string()),
            NodeError::StateGone { .. } => Self::server(error.to_string()),
            NodeError::BlockGone { .. } => Self::new(PRUNED, error.to_string()),
        }
    }
}

impl From<StateError> for RpcError {
    fn from(error: StateError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<SubmitError> for RpcError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(_) | SubmitError::AlreadyKnown | SubmitError::Underpriced { .. } => {
                Self::server(error.to_string())
            }
            SubmitError::Full(_) => Self::limit(error.to_string()),
            SubmitError::Closed(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Reverted { ref output } => {
                Self { data: Some(output.clone()), ..Self::new(REVERTED, error.to_string()) }
            }
            CallError::Request(_) => Self::params(error.to_string()),
            CallError::Halted(_) | CallError::Refused(_) | CallError::Allowance { .. } | CallError::Unwanted => {
                Self::server(error.to_string())
            }
            CallError::State(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<TraceError> for RpcError {
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Call(error) => error.into(),
            TraceError::Block(_) => Self::internal(error.to_string()),
            TraceError::Steps { .. } | TraceError::Copies { .. } => Self::limit(error.to_string()),
            TraceError::Tracer(_) | TraceError::Index { .. } => Self::params(error.to_string()),
        }
    }
}
