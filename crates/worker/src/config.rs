//! What a worker is told, and why it does not start.

use std::{net::SocketAddr, path::PathBuf};

use crypto::{Digest, SigningKey};
use engine::serve::ServeError;
use hub::ShelfError;
use network::{NetworkError, process::Program};
use protocol::Role;
use storage::Sealer;
use thiserror::Error;
use tokio::sync::watch;

use crate::{adversary::Adversary, evidence::EvidenceError, lifetime::Lifetime, prompting::PromptingError};

/// What a worker needs to start.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub directory: PathBuf,
    pub chain_id: u64,
    pub key: SigningKey,
    /// Seals evidence at rest.
    pub sealer: Sealer,
    /// Base addresses of validators and hubs.
    pub validators: Vec<String>,
    pub hubs: Vec<String>,
    /// Models to serve: loaded before the first job.
    pub models: Vec<Digest>,
    /// What its operator wants it to serve instead, from then on.
    pub wanted: Option<watch::Receiver<Vec<Digest>>>,
    /// Jobs that run at the same time.
    pub places: usize,
    /// Bytes for the keys and values of each language model's texts; without it, a share of this machine's memory.
    pub cache_bytes: Option<u64>,
    /// Threads that each model runs on; no answer depends on it.
    pub threads: usize,
    /// How long an opening is kept.
    pub evidence: Lifetime,
    /// Work of the largest receipt that the network's rules let be judged (`specs/evidence.md`, *Work*): what would be larger is refused.
    pub work_max: u64,
    /// What runs models without an exact form.
    pub float: float::Program,
    /// What makes the prompts of language models: whatever calls `serve`.
    pub prompter: Program,
    pub adversary: Option<Adversary>,
}

/// Why a worker did not start.
#[derive(Debug, Error)]
pub enum WorkerError {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Models(#[from] hub::ModelsError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Float(#[from] float::RuntimeError),
    #[error(transparent)]
    Prompting(#[from] PromptingError),
    #[error(
        "the texts of {all} models, {said} bytes for each, would have more than the {total} bytes of memory that this machine has; hint: --cache-memory with less, as in 512MiB"
    )]
    TooMuchMemory { said: u64, all: u64, total: u64 },
    #[error("the start of a model was interrupted")]
    Interrupted,
    #[error("the list of models is too long: {0}; hint: start another worker")]
    TooMany(#[from] protocol::TooLong),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the ledger holds this key for a {found}, a worker's expected; hint: start it with its own key")]
    NotAWorker { found: Role },
    #[error("the ledger retired this key in epoch {until}; hint: start it with the key that replaced it")]
    Retired { until: u64 },
}
