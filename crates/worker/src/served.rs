//! What runs models, by their roots.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use crypto::Digest;
use engine::{LanguageModel, Model, serve::Server};
use float::Runtime;
use protocol::{
    Assurance, Request,
    receipt::NO_EXACT_FORM,
    service::{FailedFrame, Failure},
};
use serde_json::{Value, json};

use crate::{
    adversary::Adversary,
    answer::{Answer, compute, compute_floats, failed},
    compiling::Compiling,
    prompting::Prompting,
};

/// A model that is served.
#[derive(Clone)]
pub(crate) enum Served {
    /// Many texts in one batch, on the server's own thread.
    Language(Arc<Server>, Prompting, Compiling),
    /// Each request on a thread of its own.
    Tensors(Arc<Model>),
    /// No exact form: this worker signs for what its runtime gives, and nobody can run it again.
    Float(Arc<Runtime>),
}

impl Served {
    /// Refuses what no receipt of this model may claim.
    pub fn bears(&self, level: Assurance) -> Result<(), FailedFrame> {
        match self {
            // Nor has this worker an enclave that could attest it.
            Self::Float(_) if level != Assurance::Signed => {
                let message = format!("{level} is asked for, and the model has no exact form: ask for signed");
                Err(failed(Failure::BadRequest, &message))
            }
            Self::Language(..) | Self::Tensors(_) | Self::Float(_) => Ok(()),
        }
    }

    /// The version of the exact arithmetic that its answers are computed by.
    pub fn spec_version(&self) -> u16 {
        match self {
            Self::Language(..) | Self::Tensors(_) => engine::SPEC_VERSION,
            Self::Float(_) => NO_EXACT_FORM,
        }
    }

    /// What it runs on, and how much it has run.
    pub fn status(&self) -> Value {
        match self {
            Self::Language(server, ..) => {
                let (counts, limits, model) = (server.counts(), server.limits(), server.model());
                json!({
                    "threads": model.threads(),
                    "context": server.context(),
                    "own_context": model.as_language().map(LanguageModel::own_context),
                    "cache_bytes": limits.memory_bytes,
                    "cache_promised_bytes": counts.reserved_bytes,
                    "cache_remembered_bytes": counts.prefix_bytes,
                    "rows": counts.rows,
                    "tokens": counts.tokens,
                })
            }
            Self::Tensors(model) => json!({ "threads": model.threads() }),
            Self::Float(_) => json!({}),
        }
    }

    /// Answers that are there at once.
    pub fn compute(
        &self,
        request: &Request,
        adversary: Option<Adversary>,
        stays: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answer, FailedFrame> {
        match self {
            Self::Language(server, ..) => compute(server.model(), request, adversary, stays),
            Self::Tensors(model) => compute(model, request, adversary, stays),
            Self::Float(model) => compute_floats(model, request, stays),
        }
    }
}

/// Models, loaded, by their roots.
pub(crate) struct Serving(RwLock<BTreeMap<Digest, Served>>);

impl Serving {
    pub fn new(models: BTreeMap<Digest, Served>) -> Self {
        Self(RwLock::new(models))
    }

    pub fn get(&self, root: &Digest) -> Option<Served> {
        self.read().get(root).cloned()
    }

    pub fn all(&self) -> BTreeMap<Digest, Served> {
        self.read().clone()
    }

    pub fn add(&self, root: Digest, served: Served) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(root, served);
    }

    /// Jobs that run with the others keep them until they end.
    pub fn keep_only(&self, roots: &[Digest]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|root, _| roots.contains(root));
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Digest, Served>> {
        // Whole after every step, so a panic elsewhere does not spoil it.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
