//! Why a store could not do what was asked.

use std::path::PathBuf;

use thiserror::Error;

/// Why the store could not do what was asked.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    #[error("failed to open {path}: {cause}")]
    Open { path: PathBuf, cause: String },
    #[error("failed to open {path}: its bytes are not as they were written: {cause}")]
    Damaged { path: PathBuf, cause: String },
    #[error("failed to read: {0}")]
    Read(String),
    #[error("failed to commit: {0}")]
    Commit(String),
    #[error("the store is closed")]
    Closed,
}
