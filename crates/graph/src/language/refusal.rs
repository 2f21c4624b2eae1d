//! Why files are no model that can be imported.

use crate::gguf::GgufError;

/// One variant for each cause, naming what was wrong and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    #[error("the configuration is no JSON object: {cause}")]
    Json { cause: String },
    #[error("the configuration's {key} is {found}, expected {expected}")]
    Config { key: String, expected: &'static str, found: String },
    #[error("the architecture {found} is unknown; those that are known: {known}")]
    Architecture { found: String, known: String },
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("the weights are no safetensors file: {cause}")]
    Weights { cause: String },
    #[error("the weights have tensor {name} twice")]
    Twice { name: String },
    #[error("the weights have no tensor {name}")]
    Missing { name: String },
    #[error("the weights have tensor {name}, which {architecture} does not use")]
    Unused { name: String, architecture: &'static str },
    #[error("tensor {name} has shape {found:?}, expected {expected:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("tensor {name} has elements {found}, expected {expected}")]
    Element { name: String, expected: &'static str, found: String },
    #[error("tensor {name} holds a number that is not finite, at index {index}")]
    NotFinite { name: String, index: usize },
    #[error("the model has {feature}, which has no integer form")]
    Integer { feature: &'static str },
    #[error("failed to put packed weights aside: {cause}")]
    Keep { cause: String },
}
