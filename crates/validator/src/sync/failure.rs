//! Why a node could not begin from others' state.

use thiserror::Error;

/// Why a node could not begin from others' state.
#[derive(Debug, Error)]
pub enum SyncError {
    #[error("failed to sync: {wanted} peers have to tell the same, {found} are named; hint: name more validators")]
    TooFewPeers { found: usize, wanted: usize },
    #[error(
        "failed to sync: no {wanted} of {peers} peers offer the same snapshot; hint: they make one every half a minute"
    )]
    NoOffer { peers: usize, wanted: usize },
    #[error("failed to sync: no peer is left that gives chunk {chunk} of the snapshot of epoch {epoch}: {last}")]
    NoChunk { epoch: u64, chunk: usize, last: String },
    #[error("failed to sync: the snapshot of epoch {epoch} is refused: {reason}")]
    Refused { epoch: u64, reason: String },
    #[error("failed to sync: no peer is left that gives {what} of the snapshot of epoch {epoch}: {last}")]
    NoState { epoch: u64, what: String, last: String },
    #[error("failed to sync: no peer has a certificate for epoch {epoch} that the network's key signed")]
    NotCertified { epoch: u64 },
    #[error("failed to sync: no peer gives {what} at height {height}")]
    Missing { what: &'static str, height: u64 },
    #[error("failed to sync: no peer says from where agreement goes on after block {height}: {last}")]
    NoFloor { height: u64, last: String },
    #[error("failed to keep what was loaded: {0}")]
    Keep(String),
}
