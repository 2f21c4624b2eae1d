//! What becomes of our own receipts on the ledger, for as long as their charges can be refunded.
//!
//! A charge is out of our hands when the window of its receipt has closed, and when the validators found the receipt false or not opened:
//! the ledger then says who is owed it, those who share in it or its payer. It is taken back where the ledger would never take the receipt.
//! What the ledger has not decided is waited for, however long. No single validator is believed: what counts is what more than a third
//! say alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use network::{LedgerClient, NetworkError, now_ms};
use payments::{
    price::{Price, Tariff, Unit, Usage},
    scheme::Refused,
};
use protocol::{Digest, EpochRecord, Milliseconds, ReceiptStatus, Standing, price::WHOLE};

use crate::{outbox::Outbox, payment::desk::Desk, window};

const PAUSE: Duration = Duration::from_secs(1);
/// Epochs that are asked for in one round.
const EPOCHS_A_ROUND: usize = 16;
/// Receipts that are looked for in one round.
const RECEIPTS_A_ROUND: usize = 4_096;
/// The ledger takes no receipt that is older; ours wait in the outbox until then.
const ANCHORED_WITHIN_MS: Milliseconds = 15 * 60 * 1_000;

/// A receipt that the validators have not decided is looked at again after this time; a challenge of it that ends is seen at once. One
/// in question may stay so for good, and what has gone before must not keep us from the others.
const LOOK_AGAIN_MS: Milliseconds = 5 * 60 * 1_000;

/// What a charge comes to by its receipt's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Undecided,
    /// It is due to those who share in it.
    Stands,
    /// It is due to its payer.
    Fell,
}

/// What one round leaves to the next.
#[derive(Default)]
struct Seen {
    /// Our receipts whose challenges are open.
    challenged: BTreeSet<Digest>,
    /// Receipts that were challenged after their time, and until when they are left alone.
    undecided: BTreeMap<Digest, Milliseconds>,
}

impl Seen {
    /// What is to be looked for of all that is due.
    fn first(
        &mut self,
        held: impl Iterator<Item = (Digest, Milliseconds)>,
        now: Milliseconds,
    ) -> BTreeMap<Digest, Milliseconds> {
        self.undecided.retain(|_, until| *until > now);
        held.filter(|(receipt, _)| !self.undecided.contains_key(receipt)).take(RECEIPTS_A_ROUND).collect()
    }

    fn note(&mut self, status: &ReceiptStatus, now: Milliseconds) {
        if status.standing == Standing::Challenged {
            self.undecided.insert(status.receipt, now.saturating_add(LOOK_AGAIN_MS));
        }
    }
}

/// Works for ever.
pub async fn follow(ledger: LedgerClient, outbox: Outbox, desk: Arc<Desk>) {
    let (mut seen, mut has_more) = (Seen::default(), false);
    loop {
        if !has_more {
            tokio::time::sleep(PAUSE).await;
        }
        has_more = round(&ledger, &outbox, &desk, &mut seen).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "failed to follow the standing of receipts");
            false
        });
    }
}

/// One look at what is due. True where as much was as a round takes and some of it is free now: the rest waits for no pause.
async fn round(ledger: &LedgerClient, outbox: &Outbox, desk: &Desk, seen: &mut Seen) -> Result<bool, NetworkError> {
    let now = now_ms();
    let window_ms = Milliseconds::try_from(desk.config.window.as_millis()).unwrap_or(Milliseconds::MAX);
    let upto_ms = now.saturating_sub(window_ms);
    let due = seen.first(desk.till.books().held_upto(upto_ms), now);
    // Before the statuses: a slash as an epoch ends may bring into question what stood before.
    let latest = ledger.epoch_reached().await?.record;
    let mut fates = BTreeMap::new();
    for receipt in decided_challenges(ledger, desk, &mut seen.challenged).await? {
        fates.insert(receipt, ledger.receipt_agreed(&receipt).await?.status);
    }
    let missing = find(ledger, &due, &mut fates).await?;
    due.keys().filter_map(|receipt| fates.get(receipt)).for_each(|status| seen.note(status, now));
    let fate = |status: &ReceiptStatus| fate(status, &latest);
    let (mut stand, mut fell) = (Vec::new(), Vec::new());
    for (receipt, status) in &fates {
        match fate(status) {
            Fate::Undecided => {}
            Fate::Stands => stand.push(*receipt),
            Fate::Fell => fell.push(*receipt),
        }
    }
    let has_more = due.len() >= RECEIPTS_A_ROUND && !stand.is_empty();
    // Refused for long, or lost in a crash just before the outbox had it.
    let is_waiting = |receipt: &Digest| outbox.find(receipt).is_some() && !outbox.is_set_aside(receipt);
    let is_late = |receipt: &Digest| due.get(receipt).is_some_and(|at| now.saturating_sub(*at) > ANCHORED_WITHIN_MS);
    for receipt in missing.into_iter().filter(|receipt| is_late(receipt) && !is_waiting(receipt)) {
        tracing::warn!(%receipt, "an answer was not anchored: its charge is taken back");
        let _noted = desk.till.note(|books| books.refund(&receipt, now).ok());
    }
    let noted =
        value_assets(desk).and_then(|()| let_fall(desk, &fell, now)).and_then(|()| desk.till.mature(&stand, upto_ms));
    Ok(has_more && noted.is_ok())
}

/// Their payers are owed what they charged, on the ledger, which says so to whoever pays out.
fn let_fall(desk: &Desk, fell: &[Digest], now: Milliseconds) -> Result<(), Refused> {
    for receipt in fell {
        tracing::warn!(%receipt, "an answer was refuted or withheld: its charge is owed to its payer");
        desk.till.note(|books| books.fall(receipt, now))?;
    }
    Ok(())
}

/// What a whole of each asset is worth in OPG by the rate of now, where there is one: by that the books say what was gained or lost of the
/// charges whose shares come to be due.
fn value_assets(desk: &Desk) -> Result<(), Refused> {
    let Some(rate) = desk.rate() else { return Ok(()) };
    for asset in desk.assets().filter(|asset| asset.money.unit != Unit::Opg) {
        let price = Price { unit: asset.money.unit, per_call: WHOLE, per_input_token: 0, per_output_token: 0 };
        let tariff = Tariff { price, per_mille: 1_000, money: asset.money, rate: Some(rate) };
        if let Ok(whole) = tariff.quote(Usage::default()) {
            desk.till.note(|books| books.value(asset.network, asset.address, whole))?;
        }
    }
    Ok(())
}

/// Challenges of our receipts that were open and are no more.
async fn decided_challenges(
    ledger: &LedgerClient,
    desk: &Desk,
    challenged: &mut BTreeSet<Digest>,
) -> Result<Vec<Digest>, NetworkError> {
    let open = ledger.challenged().await?;
    let decided = challenged.difference(&open).copied().collect();
    let books = desk.till.books();
    *challenged = open.into_iter().filter(|receipt| books.charge_of(receipt).is_some()).collect();
    Ok(decided)
}

/// The statuses of what is due: one receipt is asked for, and its epoch then tells of all others in it. What the ledger does not know is
/// returned.
async fn find(
    ledger: &LedgerClient,
    due: &BTreeMap<Digest, Milliseconds>,
    found: &mut BTreeMap<Digest, ReceiptStatus>,
) -> Result<Vec<Digest>, NetworkError> {
    let (mut epochs, mut missing) = (0, Vec::new());
    for receipt in due.keys() {
        if found.contains_key(receipt) || epochs >= EPOCHS_A_ROUND {
            continue;
        }
        epochs = epochs.saturating_add(1);
        let Some(view) = known(ledger.receipt_agreed(receipt).await)? else {
            missing.push(*receipt);
            continue;
        };
        for view in ledger.epoch_receipts_agreed(view.status.epoch).await? {
            if due.contains_key(&view.status.receipt) {
                found.insert(view.status.receipt, view.status);
            }
        }
        found.entry(*receipt).or_insert(view.status);
    }
    Ok(missing)
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
    fn what_stays_in_question_keeps_nothing_else_from_being_looked_at() {
        let id = |i: u32| crypto::hash("og/test", &[&i.to_be_bytes()]);
        let held = || (0..10_000).map(|i| (id(i), 1));
        let status = |i, standing| {
            let (receipt, worker, gateway) = (id(i), Digest::ZERO, Digest::ZERO);
            ReceiptStatus { receipt, worker, gateway, epoch: 10, index: 0, standing, audits: 0, slashed: 0 }
        };
        let mut seen = Seen::default();
        let first = seen.first(held(), 7);
        assert!(first.len() == RECEIPTS_A_ROUND && first.contains_key(&id(0)) && !first.contains_key(&id(9_999)));
        (0..9_998).for_each(|i| seen.note(&status(i, Standing::Challenged), 7));
        seen.note(&status(9_998, Standing::Anchored), 7);
        let next = seen.first(held(), 6 + LOOK_AGAIN_MS);
        assert_eq!(next.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from([id(9_998), id(9_999)]));
        assert_eq!(seen.first(held(), 7 + LOOK_AGAIN_MS), first, "and it is looked at again");
        assert!(seen.undecided.is_empty());
    }

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
