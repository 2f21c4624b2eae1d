//! Follows the certified epochs: every receipt that can still be challenged is looked at once, each on its own.
//!
//! One receipt, one worker or one epoch that cannot be had stops nothing else. What a validator says about how far the
//! ledger is moves nothing for good: the next answer corrects it.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use network::{NetworkError, now_ms};
use protocol::EpochRecord;
use tokio::task::JoinSet;

use crate::{audit::audit, desk::Desk};

/// Between two looks at the newest epoch.
const POLL: Duration = Duration::from_millis(200);
/// Most epochs looked back upon, whatever the challenge window is said to be.
const EPOCHS_MAX: u64 = 4_096;
/// Most audits under way; what comes beyond is missed, and counted.
const PENDING_MAX: usize = 65_536;

pub(crate) async fn follow(desk: Arc<Desk>) {
    let mut audits = JoinSet::new();
    let mut listed = BTreeSet::new();
    let mut furthest_ms = desk.marks.furthest_ms().unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to read how far the ledger was: old epochs may be looked at again");
        0
    });
    loop {
        match desk.ledger.latest_epoch().await {
            // A validator that executes its blocks once more tells old epochs: they were looked at, and their marks may be forgotten.
            Ok(latest) if latest.record.time_ms < furthest_ms => {
                tracing::debug!(epoch = latest.record.epoch, "the validator is behind what was seen before");
            }
            Ok(latest) => {
                look(&desk, &latest.record, &mut listed, &mut audits).await;
                note(&desk, &mut furthest_ms, latest.record.time_ms).await;
            }
            Err(error) => tracing::debug!(%error, "cannot see the newest epoch"),
        }
        tokio::time::sleep(POLL).await;
        while audits.try_join_next().is_some() {}
    }
}

/// Notes how far the ledger is, by its epochs' time. Nobody takes it beyond our own clock, so that a lie is past within an epoch.
async fn note(desk: &Desk, furthest_ms: &mut u64, time_ms: u64) {
    let reached = time_ms.min(now_ms());
    if reached <= *furthest_ms {
        return;
    }
    *furthest_ms = reached;
    if let Err(error) = desk.marks.reach(reached).await {
        tracing::warn!(%error, "failed to note how far the ledger is");
    }
}

async fn look(desk: &Arc<Desk>, latest: &EpochRecord, listed: &mut BTreeSet<u64>, audits: &mut JoinSet<()>) {
    let window = u64::from(latest.challenge_window);
    desk.counts.epoch.store(latest.epoch, Ordering::Relaxed);
    let first = first_open(latest.epoch, window);
    listed.retain(|epoch| (first..=latest.epoch).contains(epoch));
    for epoch in first..=latest.epoch {
        if listed.contains(&epoch) {
            continue;
        }
        match begin(desk, epoch, window, audits).await {
            Ok(()) => {
                listed.insert(epoch);
            }
            Err(error) if error.is_transient() => {
                return tracing::warn!(epoch, %error, "cannot see an epoch's receipts");
            }
            Err(error) => tracing::warn!(epoch, %error, "cannot read an epoch's receipts, going on with the next"),
        }
    }
    if let Err(error) = desk.marks.forget_before(first).await {
        tracing::warn!(%error, "failed to forget old audits");
    }
}

/// The first epoch whose receipts a transaction sent now, hence executed after `latest`, can still challenge.
fn first_open(latest: u64, window: u64) -> u64 {
    latest.saturating_add(1).saturating_sub(window.min(EPOCHS_MAX))
}

/// Begins the audits of one epoch.
async fn begin(desk: &Arc<Desk>, epoch: u64, window: u64, audits: &mut JoinSet<()>) -> Result<(), NetworkError> {
    for view in desk.ledger.epoch_receipts(epoch).await? {
        if !desk.wants(&view) {
            continue;
        }
        if audits.len() >= PENDING_MAX {
            desk.counts.missed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        audits.spawn(audit(Arc::clone(desk), view, epoch.saturating_add(window)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_epochs_whose_receipts_can_be_challenged_are_looked_at() {
        assert_eq!(first_open(3, 15), 0);
        // A receipt of epoch 6 can be challenged up to epoch 21, which is open now.
        assert_eq!(first_open(20, 15), 6);
        assert_eq!(first_open(u64::MAX, u64::from(u32::MAX)), u64::MAX - EPOCHS_MAX);
    }
}
