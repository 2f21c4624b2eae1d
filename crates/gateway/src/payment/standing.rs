//! What becomes of our own receipts on the ledger, for as long as their charges can be refunded.
//!
//! A charge is free to be paid out when the window of its receipt has closed, and is taken back when the validators found the receipt
//! false or not opened, or when the ledger would never take it. What the ledger has not decided is waited for, however long. No single
//! validator is believed: what counts is what more than a third say alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use network::{NetworkError, now_ms};
use protocol::{Digest, EpochRecord, Milliseconds, ReceiptStatus, Standing};

use crate::{payment::desk::Desk, shared::Shared, window};

const PAUSE: Duration = Duration::from_secs(1);
/// Epochs that are asked for in one round.
const EPOCHS_A_ROUND: usize = 16;
/// Receipts that are looked for in one round.
const RECEIPTS_A_ROUND: usize = 4_096;
/// The ledger takes no receipt that is older; ours wait in the outbox until then.
const ANCHORED_WITHIN_MS: Milliseconds = 15 * 60 * 1_000;

/// What a charge comes to by its receipt's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Undecided,
    Stands,
    Fell,
}

/// Works for ever.
pub async fn follow(shared: Arc<Shared>, desk: Arc<Desk>) {
    let mut challenged = BTreeSet::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = round(&shared, &desk, &mut challenged).await {
            tracing::debug!(%error, "failed to follow the standing of receipts");
        }
    }
}

async fn round(shared: &Shared, desk: &Desk, challenged: &mut BTreeSet<Digest>) -> Result<(), NetworkError> {
    let now = now_ms();
    let window_ms = Milliseconds::try_from(desk.config.window.as_millis()).unwrap_or(Milliseconds::MAX);
    let upto_ms = now.saturating_sub(window_ms);
    let due: BTreeMap<Digest, Milliseconds> = desk.till.books().held_upto(upto_ms).take(RECEIPTS_A_ROUND).collect();
    let mut fates = BTreeMap::new();
    for receipt in decided_challenges(shared, desk, challenged).await? {
        fates.insert(receipt, shared.ledger.receipt_agreed(&receipt).await?.status);
    }
    find(shared, &due, &mut fates).await?;
    let latest = shared.ledger.epoch_reached().await?.record;
    let fate = |status: &ReceiptStatus| fate(status, &latest);
    let (mut stand, mut fell) = (Vec::new(), Vec::new());
    for (receipt, status) in &fates {
        match fate(status) {
            Fate::Undecided => {}
            Fate::Stands => stand.push(*receipt),
            Fate::Fell => fell.push(*receipt),
        }
    }
    let never = due.iter().filter(|(receipt, at_ms)| {
        let is_late = now.saturating_sub(**at_ms) > ANCHORED_WITHIN_MS;
        !fates.contains_key(receipt) && is_late && shared.outbox.is_set_aside(receipt)
    });
    fell.extend(never.map(|(receipt, _)| *receipt));
    for receipt in fell {
        tracing::warn!(%receipt, "an answer was refuted or not anchored: its charge is taken back");
        let _noted = desk.till.note(|books| books.refund(&receipt, now).ok());
    }
    let _noted = desk.till.note(|books| books.mature(&stand, upto_ms));
    Ok(())
}

/// Challenges of our receipts that were open and are no more.
async fn decided_challenges(
    shared: &Shared,
    desk: &Desk,
    challenged: &mut BTreeSet<Digest>,
) -> Result<Vec<Digest>, NetworkError> {
    let open: BTreeSet<Digest> =
        shared.ledger.challenges().await?.iter().map(|view| view.receipt.receipt.id()).collect();
    let decided = challenged.difference(&open).copied().collect();
    let books = desk.till.books();
    *challenged = open.into_iter().filter(|receipt| books.charge_of(receipt).is_some()).collect();
    Ok(decided)
}

/// The statuses of what is due: one receipt is asked for, and its epoch then tells of all others in it.
async fn find(
    shared: &Shared,
    due: &BTreeMap<Digest, Milliseconds>,
    found: &mut BTreeMap<Digest, ReceiptStatus>,
) -> Result<(), NetworkError> {
    let mut epochs = 0;
    for receipt in due.keys() {
        if found.contains_key(receipt) || epochs >= EPOCHS_A_ROUND {
            continue;
        }
        epochs = epochs.saturating_add(1);
        let Some(view) = known(shared.ledger.receipt_agreed(receipt).await)? else { continue };
        for view in shared.ledger.epoch_receipts_agreed(view.status.epoch).await? {
            if due.contains_key(&view.status.receipt) {
                found.insert(view.status.receipt, view.status);
            }
        }
        found.entry(*receipt).or_insert(view.status);
    }
    Ok(())
}

fn known<T>(asked: Result<T, NetworkError>) -> Result<Option<T>, NetworkError> {
    match asked {
        Ok(view) => Ok(Some(view)),
        Err(NetworkError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn fate(status: &ReceiptStatus, latest: &EpochRecord) -> Fate {
    match status.standing {
        Standing::Refuted | Standing::Withheld => Fate::Fell,
        Standing::Challenged => Fate::Undecided,
        Standing::Anchored | Standing::Audited | Standing::Upheld if window::is_closed(status, latest) => Fate::Stands,
        Standing::Anchored | Standing::Audited | Standing::Upheld => Fate::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::latest;

    #[test]
    fn a_charge_stands_once_the_window_has_closed_and_falls_whenever_its_receipt_does() {
        let cases = [
            (Standing::Anchored, Fate::Undecided, Fate::Stands),
            (Standing::Audited, Fate::Undecided, Fate::Stands),
            (Standing::Upheld, Fate::Undecided, Fate::Stands),
            (Standing::Challenged, Fate::Undecided, Fate::Undecided),
            (Standing::Refuted, Fate::Fell, Fate::Fell),
            (Standing::Withheld, Fate::Fell, Fate::Fell),
        ];
        for (standing, open, closed) in cases {
            let (receipt, worker, gateway) = (Digest::ZERO, Digest::ZERO, Digest::ZERO);
            let status =
                ReceiptStatus { receipt, worker, gateway, epoch: 10, index: 0, standing, audits: 0, slashed: 0 };
            assert_eq!(fate(&status, &latest(24)), open, "{standing}");
            assert_eq!(fate(&status, &latest(25)), closed, "{standing}");
        }
    }
}
