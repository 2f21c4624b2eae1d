//! What a method comes to: the bytes of a result, or a refusal.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::RpcError;

pub(crate) type Answer = Result<Box<RawValue>, RpcError>;

/// Turns a result into the bytes of an answer.
pub(crate) fn answer<T: Serialize>(result: &T) -> Answer {
    to_raw_value(result).map_err(|error| RpcError::internal(format!("failed to write the answer: {error}")))
}
