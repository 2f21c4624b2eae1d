//! From an ONNX file to an exact graph.
//!
//! `wire` reads protobuf within bounds, `proto` the messages of ONNX, `names` refuses graphs that do not hang together,
//! `lower` turns each node into ordered operators (one row per ONNX operator in `operators`), and `integer` makes the
//! integer twin of the result. A foreign file decides nothing here but its own refusal: every count is bounded
//! before it is kept, no second file is opened, and unsupported operators are all named before anything is computed.

mod compile;
mod integer;
mod lower;
mod names;
mod operators;
mod proto;
mod wire;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod twins;
#[cfg(test)]
mod write;

pub use compile::{Arithmetic, CompileError, OnnxSources, compile_onnx};
pub use lower::import;
pub use proto::{ELEMENTS_MAX, FILE_BYTES_MAX, GRAPH_ITEMS_MAX, NAME_BYTES_MAX, NODE_ITEMS_MAX};

use crate::operator::Refusal;

/// The versions of the standard operator set in which every operator of the table has the meaning that is implemented.
pub const OPSETS: std::ops::RangeInclusive<i64> = 13..=25;

/// Why a file is no model that can be run exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    #[error("{message} holds {found}, which is no protobuf")]
    Malformed { message: &'static str, found: &'static str },
    #[error("a field of {message} claims {claimed} bytes, {left} left in the file")]
    Cut { message: &'static str, claimed: u64, left: usize },
    #[error("field {field} of {message} is not {expected}")]
    Mistyped { message: &'static str, field: u32, expected: &'static str },
    #[error("field {field} of {message} is there twice")]
    Twice { message: &'static str, field: u32 },
    #[error("{message} lacks {field}")]
    Missing { message: &'static str, field: &'static str },
    #[error("found {found} {what}, at most {limit} are allowed")]
    TooMany { what: &'static str, found: usize, limit: usize },
    #[error("the file uses {what}, which an exact graph cannot hold")]
    Refused { what: &'static str },
    #[error("the operator set is version {found}, expected {low} to {high}")]
    Opset { found: i64, low: i64, high: i64 },
    #[error("tensor {tensor:?} has a dimension of {found}, expected 1 or more")]
    BadDimension { tensor: String, found: i64 },
    #[error("tensor {tensor:?} has the data of {found} elements, its shape says {expected}")]
    TensorData { tensor: String, expected: usize, found: usize },
    #[error("tensor {tensor:?} has elements of ONNX type {found}, expected 1 (float) or, for shapes, 7 (int64)")]
    ElementType { tensor: String, found: i64 },
    #[error("value {value:?} is made twice")]
    DuplicateName { value: String },
    #[error("{user} uses value {value:?}, which nothing makes")]
    Dangling { user: String, value: String },
    #[error("{user} uses value {value:?}, which is made by itself or later: a cycle, or nodes out of order")]
    Cycle { user: String, value: String },
    #[error("unsupported operators: {nodes}")]
    UnsupportedOperators { nodes: String },
    #[error("input {input:?} has shape {found}, expected fixed sizes, or one symbolic size, outermost and of one name")]
    InputShape { input: String, found: String },
    #[error("the graph has no {what}")]
    Empty { what: &'static str },
    #[error("{node}: {problem}")]
    Node { node: String, problem: String },
    #[error("{node}: {cause}")]
    Exact {
        node: String,
        #[source]
        cause: Refusal,
    },
}
