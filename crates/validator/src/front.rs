//! The ledger's EVM as JSON-RPC sees it: what is final, what waits here, and where transactions go.

use std::sync::Arc;

use blocks::{Served, Source};
use evm::{NextBlock, Transaction};
use futures::{FutureExt as _, future::BoxFuture};
use network::now_ms;
use rpc::{FinalHeader, SubmitError};

use crate::desk::Desk;

/// The node behind JSON-RPC.
#[derive(Clone)]
pub(crate) struct Front(Arc<Desk>);

pub(crate) fn served(desk: &Arc<Desk>) -> Served<Front> {
    Served { view: Arc::clone(desk.node.ethereum.view()), source: Front(Arc::clone(desk)) }
}

impl Source for Front {
    fn upcoming(&self, newest: &FinalHeader) -> NextBlock {
        ledger::surroundings(newest, now_ms(), &self.0.node.key().public_key())
    }

    fn closed(&self) -> Option<String> {
        self.0.closed().map(|refusal| format!("{}: ask another", refusal.message))
    }

    /// Agreement begins while the disk takes it: whichever is first, an answer means that a crash loses nothing.
    fn submit(&self, transaction: Arc<Transaction>) -> BoxFuture<'_, Result<(), SubmitError>> {
        async move {
            if let Some(reason) = self.closed() {
                return Err(SubmitError::Closed(reason));
            }
            let node = &self.0.node;
            let (durable, taken) = match node.submit_wallet(&transaction) {
                Ok(durable) => (durable, Ok(())),
                // Whoever sends again takes it for a yes, and what another validator showed is on no disk here.
                Err(SubmitError::AlreadyKnown) => (node.ethereum.keep(&transaction)?, Err(SubmitError::AlreadyKnown)),
                Err(refusal) => return Err(refusal),
            };
            if let Some(durable) = durable {
                durable.wait().await.map_err(|error| SubmitError::Closed(error.to_string()))?;
            }
            taken
        }
        .boxed()
    }
}
