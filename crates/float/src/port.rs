//! What a model takes, and why it was not loaded or run.

use protocol::Element;

/// Why a model of floats was not loaded or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FloatError {
    #[error("the float runtime does not take the model: {cause}")]
    Load { cause: String },
    #[error("the model has {found} {what}, between 1 and {limit} expected")]
    Ports { what: &'static str, found: usize, limit: usize },
    #[error("{name} has no form that requests can carry; hint: tensors of f32, i32, i64, i8, u8 or bool are taken")]
    Port { name: String },
    #[error("the model has no input {name}, it takes {expected}")]
    UnknownInput { name: String, expected: String },
    #[error("input {name} is missing, the model takes {expected}")]
    MissingInput { name: String, expected: String },
    #[error("input {name} is given twice")]
    DoubleInput { name: String },
    #[error("input {name} has elements {found}, {expected} expected")]
    Element { name: String, expected: &'static str, found: &'static str },
    #[error("input {name} has the shape {found:?}, {expected} expected")]
    Shape { name: String, expected: String, found: Vec<u64> },
    #[error("input {name} has {found} bytes, {expected} expected")]
    Data { name: String, expected: usize, found: usize },
    #[error("input {name} holds {value}, which the float runtime's 32 bits cannot")]
    TooLarge { name: String, value: i64 },
    #[error("the float runtime failed: {cause}")]
    Run { cause: String },
    #[error("output {name} is not finite")]
    NotFinite { name: String },
    #[error("output {name} is more than an answer may carry")]
    Output { name: String },
}

/// A value that a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    /// As requests carry it.
    pub element: Element,
    /// `None` for a size that each call chooses; nothing where the file says nothing of the shape.
    pub shape: Option<Vec<Option<u64>>>,
}
