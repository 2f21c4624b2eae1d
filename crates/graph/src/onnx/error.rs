//! Why an ONNX file is no exact graph: one variant for each thing that can be wrong with it.

use crate::{evaluate::Fault, graph::GraphRefusal, operator::Refusal, program::problem::ProgramFault};

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
    #[error("tensor {tensor:?} lies beside the model: {problem}")]
    External { tensor: String, problem: String },
    #[error(
        "tensors lie in {location:?}, expected a plain path within the model's folder\nhint: names from the root, with .. or with \\ are not followed; the model can be written anew with its data beside it"
    )]
    Location { location: String },
    #[error("value {value:?} is made twice")]
    DuplicateName { value: String },
    #[error("{user} uses value {value:?}, which nothing makes")]
    Dangling { user: String, value: String },
    #[error("{user} uses value {value:?}, which is made by itself or later: a cycle, or nodes out of order")]
    Cycle { user: String, value: String },
    #[error("unsupported operators: {nodes}")]
    UnsupportedOperators { nodes: String },
    #[error("nodes that could not run: {nodes}")]
    RefusedNodes { nodes: String },
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

/// Why an ONNX file was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error("failed to read the ONNX file: {0}")]
    Onnx(#[from] OnnxError),
    #[error("failed to check the graph: {0}")]
    Graph(#[from] GraphRefusal),
    #[error("failed to run the model on its calibration inputs: {cause}")]
    Calibration {
        #[source]
        cause: Fault,
    },
    #[error("failed to run the model on its calibration inputs: {cause}")]
    CalibrationRun {
        #[source]
        cause: ProgramFault,
    },
    #[error("{node}: {problem}\nhint: compile to the ordered form")]
    Layer { node: String, problem: String },
    #[error("the integer form needs calibration inputs, found none")]
    NoCalibration,
    #[error("no integer form exists for {nodes}\nhint: compile to the ordered form")]
    NoIntegerForm { nodes: String },
}
