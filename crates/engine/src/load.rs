//! Why an artefact cannot be served.

use graph::ArtefactRefusal;

use crate::tokenizer::TokenizerError;

/// One variant for each step of loading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("failed to read the artefact: {0}")]
    Artefact(#[from] ArtefactRefusal),
    #[error("failed to read the tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    #[error("failed to parse the chat template: {cause}")]
    Template { cause: String },
    #[error("{name} has elements {element}, which requests cannot carry")]
    Port { name: String, element: &'static str },
}
