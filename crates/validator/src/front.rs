//! The ledger's EVM as JSON-RPC sees it: what is final, what waits here, and where transactions go.

use std::sync::Arc;

use blocks::{Served, Source};
use evm::{NextBlock, Transaction};
use futures::{FutureExt as _, future::BoxFuture};
use network::now_ms;
use rpc::{FinalHeader, SubmitError, Syncing};

use crate::{desk::Desk, node::LAG_MAX};

/// A network that does nothing makes several blocks a second. Where the newest is older in seconds, this validator hears of none, or there are none.
const AGE_MAX_S: u64 = 30;

/// The node behind JSON-RPC.
#[derive(Clone)]
pub(crate) struct Front {
    desk: Arc<Desk>,
    /// The newest block when this was made.
    starting: u64,
}

pub(crate) fn served(desk: &Arc<Desk>) -> Served<Front> {
    let view = Arc::clone(desk.node.ethereum.view());
    let starting = view.live().head();
    Served { view, source: Front { desk: Arc::clone(desk), starting } }
}

/// Whether a newest block may be old news: by how many are known to be final above it, or by its age in seconds.
const fn is_old(ahead: u64, age_s: u64) -> bool {
    ahead > LAG_MAX || age_s > AGE_MAX_S
}

impl Source for Front {
    fn upcoming(&self, newest: &FinalHeader) -> NextBlock {
        ledger::surroundings(newest, now_ms(), &self.desk.node.key().public_key())
    }

    fn syncing(&self, newest: &FinalHeader) -> Option<Syncing> {
        let (current, now_s) = (newest.number, now_ms().checked_div(1_000).unwrap_or(0));
        let highest = self.desk.agreement.requests().finalized().max(current);
        let is_old = is_old(highest.saturating_sub(current), now_s.saturating_sub(newest.timestamp));
        is_old.then_some(Syncing { starting: self.starting, current, highest })
    }

    fn closed(&self) -> Option<String> {
        self.desk.closed().map(|refusal| format!("{}: ask another", refusal.message))
    }

    /// Agreement begins while the disk takes it: whichever is first, an answer means that a crash loses nothing.
    fn submit(&self, transaction: Arc<Transaction>) -> BoxFuture<'_, Result<(), SubmitError>> {
        async move {
            if let Some(reason) = self.closed() {
                return Err(SubmitError::Closed(reason));
            }
            let node = &self.desk.node;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_old_by_what_is_above_it_or_by_its_age() {
        assert!(!is_old(0, 0) && !is_old(LAG_MAX, AGE_MAX_S));
        assert!(is_old(LAG_MAX + 1, 0) && is_old(0, AGE_MAX_S + 1));
    }
}
