//! Why a program has no output for some inputs: what was wrong, and the node that met it.

use crate::refusal::Refusal;

/// What an operator met. Every variant but `Ended` is the inputs' or the model's fault, never the machine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("input {input} is missing")]
    Missing { input: usize },
    #[error("input {input} is {found}, expected {expected}")]
    Kind { input: usize, expected: &'static str, found: &'static str },
    #[error("input {input} has elements {found}, expected {expected}")]
    Element { input: usize, expected: &'static str, found: &'static str },
    #[error("input {input} has shape {found:?}, expected {expected}")]
    Shape { input: usize, expected: String, found: Vec<usize> },
    #[error("the shapes {one:?} and {other:?} do not broadcast")]
    Broadcast { one: Vec<usize>, other: Vec<usize> },
    #[error("attribute {name} is missing or is not {expected}")]
    Attribute { name: &'static str, expected: &'static str },
    #[error("{what} is {found}, expected {expected}")]
    Value { what: &'static str, expected: String, found: String },
    #[error("an integer is divided by zero")]
    DivisionByZero,
    #[error("{what} has no exact meaning here")]
    Unsupported { what: &'static str },
    #[error("more than {limit} bytes of values would live at once")]
    Memory { limit: u64 },
    #[error("more than {limit} operations would run")]
    Operations { limit: u64 },
    #[error("a value would have rank {found}, at most {limit} is allowed")]
    Rank { found: usize, limit: usize },
    /// Loading the program, or what would be kept of its constants, takes too much.
    #[error(transparent)]
    Loading(Refusal),
    #[error("{0}")]
    Inside(Box<ProgramFault>),
    #[error("whoever watched the run has ended it")]
    Ended,
    /// What the rules exclude; a meaning that meets it answers so instead of with a wrong value.
    #[error("values were met that the rules exclude")]
    Excluded,
}

impl Problem {
    pub fn shape(input: usize, expected: impl Into<String>, found: &[usize]) -> Self {
        Self::Shape { input, expected: expected.into(), found: found.to_vec() }
    }

    pub fn value(what: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Value { what, expected: expected.into(), found: found.to_string() }
    }
}

/// Why a program has no output for these inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramFault {
    #[error("{found} inputs were passed, expected {expected}")]
    Inputs { expected: usize, found: usize },
    #[error("input {name} is {found}, expected {expected}")]
    Input { name: String, expected: String, found: String },
    #[error("node {name:?} ({operator}): {problem}")]
    Node { name: String, operator: &'static str, problem: Problem },
    #[error("output {name} has no value")]
    Output { name: String },
}
