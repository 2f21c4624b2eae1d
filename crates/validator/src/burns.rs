//! Reads what is destroyed on Base and tells the ledger: a quorum that saw the same credits it (`specs/settlement.md`).

use std::{sync::Arc, time::Duration};

use network::Client;
use protocol::List;
use relayer::{Address, BurnReader, Chain, Depth};

use crate::node::Node;

/// Between two looks at Base.
const POLL: Duration = Duration::from_millis(500);
/// Looks between two reports of the same burns: the first may have been lost.
const PATIENCE: u32 = 16;

/// Where a validator reads Base.
#[derive(Clone, Debug)]
pub struct Base {
    /// JSON-RPC of a node that the validator's operator trusts, its own best.
    pub rpc: String,
    pub settlement: Address,
    pub depth: Depth,
    /// One before which the settlement was not there.
    pub first_block: u64,
}

pub(crate) async fn follow(node: Arc<Node>, base: Base) {
    let chain = Chain::new(Client::default(), base.rpc);
    let mut reader = BurnReader::new(chain, base.settlement, base.depth, base.first_block);
    let (mut waiting, mut newest) = (0_u32, None);
    loop {
        tokio::time::sleep(POLL).await;
        let bridge = node.ledger().bridge();
        let burns = match reader.after(bridge.burns, bridge.burns_digest).await {
            Ok(burns) => burns,
            Err(error) => {
                tracing::warn!(%error, "cannot tell what was destroyed on Base");
                continue;
            }
        };
        let untold = node.untold(burns);
        let last = untold.last().map(|burn| burn.serial);
        waiting = waiting.saturating_sub(1);
        if last.is_none() || (last == newest && waiting > 0) {
            continue;
        }
        // No more than a report takes were read.
        let Ok(report) = List::new(untold) else { continue };
        (waiting, newest) = (PATIENCE, last);
        match node.report_burns(report) {
            Ok(_) => tracing::info!(last, "told what was destroyed on Base"),
            Err(error) => tracing::warn!(%error, "failed to tell what was destroyed on Base"),
        }
    }
}
