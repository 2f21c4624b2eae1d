//! What a worker serves: what it was started with, and what its operator has asked for since.
//!
//! A model is loaded before the ledger is told of it, and the ledger is told before it is let go of: nobody is sent to a worker that
//! does not serve.

use std::{sync::Arc, time::Duration};

use crypto::Digest;
use hub::Models;
use network::{LedgerClient, Sender};
use protocol::{Action, List, transaction::UpdateNode};
use tokio::sync::watch;

use crate::{
    config::{Config, WorkerError},
    jobs::Desk,
    loading::load,
};

/// Until it is tried again what could not be done.
const AGAIN: Duration = Duration::from_secs(2);
/// Gateways that have not read the ledger's list again still send jobs for a model that is let go of.
const FAREWELL: Duration = Duration::from_secs(10);

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
                self.desk.take_up(*root, served);
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
            self.desk.keep_only(wanted);
        }
        Ok(())
    }
}
