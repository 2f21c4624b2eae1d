//! Why a node is no part of any exact graph, and why a graph has no value for some inputs.

use crate::{shape::Shape, tensor::Element};

/// Why a node is no part of any exact graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("takes {low} to {high} inputs, found {found}")]
    Inputs { low: usize, high: usize, found: usize },
    #[error("input {input} has elements {found}, expected {expected}")]
    Element { input: usize, expected: &'static str, found: Element },
    #[error("input {input} has shape {found}, expected {expected}")]
    Shape { input: usize, expected: String, found: Shape },
    #[error("input {input} must be a constant")]
    NotConstant { input: usize },
    #[error("input {input} holds {found}, expected {expected}")]
    Constant { input: usize, expected: &'static str, found: String },
    #[error("attribute {name} is missing or is not {expected}")]
    Attribute { name: &'static str, expected: &'static str },
    #[error("attribute {name} is {value}, expected {low} to {high}")]
    AttributeRange { name: &'static str, value: i64, low: i64, high: i64 },
    #[error("attribute {name} is unknown")]
    UnknownAttribute { name: String },
    #[error("an integer could reach {magnitude}, outside of {what}")]
    Overflow { what: &'static str, magnitude: u64 },
    #[error("loading it would walk through more than {limit} numbers of constants, with the nodes before it")]
    Walked { limit: u64 },
    #[error("more than {limit} bytes would be kept of what is made of constants, with the nodes before it")]
    Kept { limit: u64 },
}

/// Why a checked graph has no value for these inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{found} inputs were passed, expected {expected}")]
    Inputs { expected: usize, found: usize },
    #[error("input {name} has elements {found}, expected {expected}")]
    Element { name: String, expected: Element, found: Element },
    #[error("input {name} has shape {found:?}, expected {expected}")]
    Shape { name: String, expected: String, found: Vec<usize> },
    #[error("the inputs have {found} rows, expected 1 to {limit}, the same for all")]
    Rows { found: usize, limit: usize },
    #[error("input {name} holds {found} at index {index}, expected {low} to {high}")]
    Range { name: String, index: usize, found: i64, low: i64, high: i64 },
    #[error("input {name} holds a float that is not finite at index {index}")]
    NotFinite { name: String, index: usize },
    /// Bounds and shapes exclude this; a meaning that meets it answers so instead of a wrong number.
    #[error("operator {operator} met values that its rules exclude")]
    Excluded { operator: &'static str },
}
