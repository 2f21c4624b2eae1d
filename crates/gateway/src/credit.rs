//! How far this gateway may owe: the ledger anchors no receipt by which it would owe more than its operator's own stake stands for.
//!
//! So no call is taken whose receipt would have to wait for that: what is left above the mark is for those that are being answered. While it
//! is short, what is due is paid without waiting for its turn; what the ledger refused meanwhile is sent again once there is room.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{ApiError, Code};
use network::{LedgerClient, NetworkError};
use protocol::{Amount, Digest, PublicKey, service::GatewayCredit};
use tokio::sync::Notify;

use crate::outbox::Outbox;

/// Of what may be owed, up to which calls are taken.
const TAKEN_PERCENT: Amount = 80;
/// Between two rounds of payments that do not wait for their turn.
const HURRY: Duration = Duration::from_secs(5);
/// When a caller is asked to try again, in seconds.
const RETRY_S: u32 = 5;

/// What the ledger said last.
#[derive(Default)]
pub struct Credit {
    told: Mutex<Option<GatewayCredit>>,
    is_due: Notify,
}

impl Credit {
    /// Refuses a call that costs something while too much is owed: `waiting` is what receipts charged that the ledger has not anchored.
    pub fn admit(&self, waiting: Amount) -> Result<(), ApiError> {
        if !self.lock().as_ref().is_some_and(|told| is_short(told, waiting)) {
            return Ok(());
        }
        let message =
            "This gateway owes as much as its operator's own stake stands for, and takes no call that costs something.";
        Err(ApiError::new(Code::CreditSpent, message)
            .with_hint("call again when it has paid, or another gateway")
            .with_retry_after_s(RETRY_S))
    }

    /// Asks the ledger for ever how far the gateway with this key may owe. Whose key it is never changes.
    pub async fn keep(&self, key: &PublicKey, outbox: &Outbox, ledger: &LedgerClient, poll: Duration) {
        let (mut node, mut hurried_at, mut was_short) = (None, None::<Instant>, false);
        loop {
            match look(key, ledger, &mut node).await {
                Ok(told) => *self.lock() = Some(told),
                // What was known stays.
                Err(error) => tracing::debug!(%error, "failed to ask how far this gateway may owe"),
            }
            let (told, waiting) = (self.lock().clone(), outbox.charges());
            let short = told.filter(|told| is_short(told, waiting));
            if let Some(told) = short.as_ref().filter(|_| !was_short) {
                warn(told, waiting);
            }
            if short.is_some() && hurried_at.is_none_or(|at| at.elapsed() >= HURRY) {
                hurried_at = Some(Instant::now());
                self.is_due.notify_one();
            }
            if was_short && short.is_none() {
                outbox.send_again();
            }
            was_short = short.is_some();
            tokio::time::sleep(poll).await;
        }
    }

    /// Returns when what is due is to be paid at once.
    pub async fn is_due(&self) {
        self.is_due.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<GatewayCredit>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_short(told: &GatewayCredit, waiting: Amount) -> bool {
    let parts = told.limit.checked_div(100).unwrap_or(0);
    told.open.saturating_add(waiting) >= parts.saturating_mul(TAKEN_PERCENT)
}

fn warn(GatewayCredit { open, limit }: &GatewayCredit, waiting: Amount) {
    tracing::warn!(
        open,
        waiting,
        limit,
        "this gateway owes nearly as much as its operator's own stake stands for; it pays what is due and takes no paid calls meanwhile; hint: its operator adds to that stake by og stake delegate"
    );
}

async fn look(
    key: &PublicKey,
    ledger: &LedgerClient,
    node: &mut Option<Digest>,
) -> Result<GatewayCredit, NetworkError> {
    let gateway = match *node {
        Some(known) => known,
        None => *node.insert(ledger.owner(key).await?),
    };
    ledger.credit(&gateway).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_taken_up_to_four_fifths_of_what_may_be_owed_and_while_nothing_is_known() {
        let credit = Credit::default();
        assert!(credit.admit(Amount::MAX).is_ok(), "the ledger has not said anything yet");
        for (open, waiting, limit, is_taken) in
            [(79, 0, 100, true), (80, 0, 100, false), (70, 9, 100, true), (70, 10, 100, false), (0, 0, 0, false)]
        {
            *credit.lock() = Some(GatewayCredit { open, limit });
            let taken = credit.admit(waiting);
            assert_eq!(taken.is_ok(), is_taken, "{open} {waiting} {limit}");
            assert!(taken.err().is_none_or(|error| error.code == Code::CreditSpent));
        }
    }
}
