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
    prompting::PromptingError,
};

/// Until it is tried again what could not be done, and then twice as long each time: to find out that a model cannot be read takes seconds.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_MAX: Duration = Duration::from_secs(60);
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
        let mut pause = AGAIN;
        loop {
            let list = wanted.borrow_and_update().clone();
            let settled = tokio::select! {
                settled = self.settle(&list) => settled,
                // What was begun for another list is not gone on with.
                changed = wanted.changed() => if changed.is_ok() { continue } else { return },
            };
            let wait = match settled {
                Ok(()) => Duration::MAX,
                Err(error) => {
                    tracing::warn!(%error, "what is asked for is not served yet");
                    pause
                }
            };
            let changed = match tokio::time::timeout(wait, wanted.changed()).await {
                Ok(changed) => {
                    pause = AGAIN;
                    changed
                }
                Err(_) => {
                    pause = pause.saturating_mul(2).min(AGAIN_MAX);
                    Ok(())
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn settle(&self, wanted: &[Digest]) -> Result<(), WorkerError> {
        let unread = self.take_up(wanted).await?;
        let all = self.desk.models.all();
        let served: Vec<Digest> = wanted.iter().filter(|root| all.contains_key(*root)).copied().collect();
        if served.is_empty()
            && let Some(error) = unread
        {
            return Err(error.into());
        }
        let node = self.ledger.node(&self.desk.node).await?;
        let is_listed = node.models.len() == served.len() && served.iter().all(|root| node.models.contains(root));
        if !is_listed {
            let models = List::new(served)?;
            self.sender.send(Action::UpdateNode(UpdateNode { endpoint: node.endpoint, models })).await?;
        }
        if all.keys().any(|root| !wanted.contains(root)) {
            tokio::time::sleep(FAREWELL).await;
            self.desk.keep_only(wanted);
        }
        unread.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Loads what is wanted and not served yet. A model whose words cannot be read keeps no other from being served; why it cannot is said.
    async fn take_up(&self, wanted: &[Digest]) -> Result<Option<PromptingError>, WorkerError> {
        let mut unread = None;
        for root in wanted {
            if self.desk.models.get(root).is_some() {
                continue;
            }
            match load(&self.models, *root, &self.config, wanted.len()).await {
                Ok(served) => {
                    self.desk.take_up(*root, served);
                    tracing::info!(model = %root, "served");
                }
                Err(WorkerError::Prompting(error)) if error.is_of_the_model() => unread = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok(unread)
    }
}
