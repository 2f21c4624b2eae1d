//! Why a page could not be read.

use thiserror::Error;

/// A page could not be read, or is not the one that the tree commits to. Never the fault of whoever asks.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("failed to read a page: {0}")]
pub struct PageError(pub String);
