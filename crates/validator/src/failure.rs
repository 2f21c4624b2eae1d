//! Why a node could not be made.

use std::{io, path::PathBuf};

use ledger::GenesisError;
use thiserror::Error;

/// Why a node could not be made.
#[derive(Debug, Error)]
pub enum NodeError {
    #[error(transparent)]
    Ledger(#[from] GenesisError),
    #[error("the genesis has no block of the EVM")]
    Genesis,
    #[error(transparent)]
    Store(#[from] storage::StoreError),
    #[error(transparent)]
    Index(#[from] rpc::NodeError),
    #[error(
        "the snapshot in {path} cannot be used, and blocks up to {oldest} are removed; hint: empty the folder and sync"
    )]
    Removed { path: PathBuf, oldest: u64 },
    #[error(
        "there is no state in {path}, and blocks before {oldest} are gone; hint: name other validators to begin from, it keeps its votes"
    )]
    Gone { path: PathBuf, oldest: u64 },
    #[error(
        "{path} holds another network's blocks: its first is {found}, expected {expected}; hint: move it away, it is made anew"
    )]
    OtherNetwork { path: PathBuf, found: rpc::Hash, expected: rpc::Hash },
    #[error("failed to set {path} aside, which cannot be used: {source}; hint: move it away, it is made anew")]
    SetAside { path: PathBuf, source: io::Error },
}
