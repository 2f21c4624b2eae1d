//! Opens on the ledger what was challenged as withheld, again and again until the ledger shows it opened.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crypto::Digest;
use network::{LedgerClient, Sender};
use protocol::{Action, transaction::Respond};

use crate::jobs::Desk;

/// Between two looks at the ledger's open challenges.
const POLL: Duration = Duration::from_millis(500);
/// A response that the ledger does not show after this time may have been lost, and is sent again: the time to respond
/// is short, and a response too many costs nothing.
const RESEND: Duration = Duration::from_millis(1_500);

pub(crate) async fn defend(ledger: LedgerClient, sender: Sender, desk: Arc<Desk>) {
    let mut sent = BTreeMap::<Digest, Instant>::new();
    loop {
        tokio::time::sleep(POLL).await;
        let challenges = match ledger.challenges().await {
            Ok(challenges) => challenges,
            Err(error) => {
                tracing::debug!(%error, "cannot see whether anything is challenged");
                continue;
            }
        };
        let open: Vec<Digest> = challenges
            .iter()
            .filter(|view| view.opening.is_none() && view.receipt.receipt.worker == desk.node)
            .map(|view| view.receipt.receipt.id())
            .collect();
        sent.retain(|receipt, at| open.contains(receipt) && at.elapsed() < RESEND);
        for receipt in open {
            if !sent.contains_key(&receipt) && respond(&sender, &desk, receipt).await {
                sent.insert(receipt, Instant::now());
            }
        }
    }
}

/// True if a validator took the response.
async fn respond(sender: &Sender, desk: &Desk, receipt: Digest) -> bool {
    let opening = match desk.evidence.opening(&receipt) {
        Ok(Some(opening)) => opening,
        Ok(None) => {
            tracing::error!(%receipt, "challenged, and the opening is gone");
            return false;
        }
        Err(error) => {
            tracing::error!(%receipt, %error, "challenged, and the opening cannot be read");
            return false;
        }
    };
    match sender.send(Action::Respond(Respond { receipt, opening })).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%receipt, %error, "failed to respond to a challenge, trying again");
            false
        }
    }
}
