//! What a worker serves: what it was started with, and what its operator has asked for since.
//!
//! A model is loaded before the ledger is told of it, and the ledger is told before it is let go of: nobody is sent to a worker that
//! does not serve.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crypto::Digest;
use hub::Models;
use network::{LedgerClient, Sender};
use protocol::{Action, List, transaction::UpdateNode};
use tokio::sync::watch;

use crate::{
    jobs::{Desk, Served},
    service::{Config, WorkerError, load},
};

/// Until it is tried again what could not be done.
const AGAIN: Duration = Duration::from_secs(2);
/// Gateways that have not read the ledger's list again still send jobs for a model that is let go of.
const FAREWELL: Duration = Duration::from_secs(10);

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

    fn add(&self, root: Digest, served: Served) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(root, served);
    }

    /// Jobs that run with the others keep them until they end.
    fn keep_only(&self, roots: &[Digest]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|root, _| roots.contains(root));
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Digest, Served>> {
        // Whole after every step, so a panic elsewhere does not spoil it.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that following its operator's list takes.
pub(crate) struct Follower {
    pub desk: Arc<Desk>,
    pub models: Models,
    pub ledger: LedgerClient,
    pub sender: Sender,
    pub config: Config,
}

impl Follower {
    /// Serves what the list says, for as long as somebody may change it.
    pub async fn run(self, mut wanted: watch::Receiver<Vec<Digest>>) {
        loop {
            let list = wanted.borrow_and_update().clone();
            let settled = tokio::select! {
                settled = self.settle(&list) => settled,
                // What was begun for another list is not gone on with.
                changed = wanted.changed() => if changed.is_ok() { continue } else { return },
            };
            let changed = match settled {
                Ok(()) => wanted.changed().await,
                Err(error) => {
                    tracing::warn!(%error, "what is asked for is not served yet");
                    tokio::time::timeout(AGAIN, wanted.changed()).await.unwrap_or(Ok(()))
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn settle(&self, wanted: &[Digest]) -> Result<(), WorkerError> {
        for root in wanted {
            if self.desk.models.get(root).is_none() {
                let served = load(&self.models, *root, &self.config).await?;
                self.desk.models.add(*root, served);
                tracing::info!(model = %root, "served");
            }
        }
        let node = self.ledger.node(&self.desk.node).await?;
        let is_listed = node.models.len() == wanted.len() && wanted.iter().all(|root| node.models.contains(root));
        if !is_listed {
            let models = List::new(wanted.to_vec())?;
            self.sender.send(Action::UpdateNode(UpdateNode { endpoint: node.endpoint, models })).await?;
        }
        if self.desk.models.all().keys().any(|root| !wanted.contains(root)) {
            tokio::time::sleep(FAREWELL).await;
            self.desk.models.keep_only(wanted);
        }
        Ok(())
    }
}
