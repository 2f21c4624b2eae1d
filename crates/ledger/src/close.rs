//! Closing an epoch: deadlines that end with it, then the roots over what it did and what it left.

use alloy_primitives::Address;
use evm::modules::{opg::Release, staking::Fill};
use protocol::{Amount, Digest, EpochRecord, ReceiptStatus, Standing, Version};

use crate::{
    archive::Archive,
    closed::{ClosedEpoch, sum_root, verdicts_root},
    event::Event,
    late::end_spans,
    present::{OpenEpoch, Present},
    purse::{LOCKED, STAKING},
    rotation::take_named_key,
    settle::{credit_burns, settle},
    shares::Ripe,
    verdict::{audits_of, judge, lapse, withhold},
};

/// Challenges whose deadline can pass with one epoch: each may slash many. The others wait for the next.
const DUE_MAX: usize = 256;

/// Closes the open epoch and opens the next, which covers no block yet.
pub(crate) fn close(present: &mut Present, archive: &mut Archive) -> EpochRecord {
    // Before a verdict can take of what left.
    present.hold_for_debts();
    recount(present);
    end_challenges(present);
    question(present);
    release(present);
    end_spans(present);
    let window = u64::from(present.state.network.rules.challenge_window);
    let over = present.open.epoch.checked_sub(window);
    let anchored = over.and_then(|epoch| present.state.epochs.leaves(epoch)).unwrap_or_default();
    ripen(present, over, &anchored);
    settle(present);
    forget_audits(present, over, &anchored);
    let world = present.state.close();
    let tree = present.state.statuses.tree.mark();
    let record = record(present, tree.root());
    let next = OpenEpoch::after(present.open.epoch, present.open.last_height, present.open.time_ms);
    let ended = std::mem::replace(&mut present.open, next);
    let (leaves, receipts, verdicts) = (ended.ids, ended.receipts, ended.verdicts);
    present.state.epochs.push(ClosedEpoch { record: record.clone(), leaves, receipts, verdicts });
    archive.push(record.epoch, tree, world);
    record
}

fn record(present: &Present, state_root: Digest) -> EpochRecord {
    let (open, state) = (&present.open, &present.state);
    let receipts = sum_root(&open.leaves);
    EpochRecord {
        version: Version,
        chain_id: state.network.chain_id,
        epoch: open.epoch,
        first_height: open.first_height,
        last_height: open.last_height,
        time_ms: open.time_ms,
        history_root: state.epochs.history.root(),
        receipts_root: receipts.digest,
        receipts_count: u64::try_from(open.leaves.len()).unwrap_or(u64::MAX),
        receipts_sum: receipts.sum,
        verdicts_root: verdicts_root(&open.verdicts),
        state_root,
        challenge_window: state.network.rules.challenge_window,
    }
}

/// Who came to sit may make a quorum of what was said before. Challenges are counted again when their time is over.
fn recount(present: &mut Present) {
    credit_burns(present);
    take_named_key(present);
}

/// A response or a vote in the deadline's own epoch still counts: the deadline falls with the epoch's end.
fn end_challenges(present: &mut Present) {
    let epoch = present.open.epoch;
    let due = present.state.challenges.rows().filter(|challenge| challenge.deadline <= epoch);
    for challenge in due.take(DUE_MAX).cloned().collect::<Vec<_>>() {
        if challenge.opening.is_none() {
            withhold(present, &challenge);
        } else if !judge(present, &challenge) {
            lapse(present, &challenge);
        }
    }
}

/// What else a worker said that was slashed for a receipt comes into question, as far as it could still be challenged. An auditor's
/// word does not keep it out: the auditor may be the worker's own, and its reports are held against it when they are decided.
fn question(present: &mut Present) {
    let mut exposed = std::mem::take(&mut present.open.exposed);
    // Whoever has nothing left to lose could be exposed in each epoch: where nothing of it came since the last look, nothing is left.
    exposed.retain(|worker| !present.questioned.contains(worker));
    if exposed.is_empty() {
        return;
    }
    let (epoch, window) = (present.open.epoch, u64::from(present.state.network.rules.challenge_window));
    let earlier =
        (epoch.saturating_sub(window)..epoch).filter_map(|epoch| present.state.epochs.leaves(epoch)).flatten();
    let ids: Vec<_> = earlier.chain(present.open.ids.iter().copied()).map(|(id, _)| id).collect();
    let is_exposed = |status: &ReceiptStatus| {
        exposed.contains(&status.worker) && matches!(status.standing, Standing::Anchored | Standing::Audited)
    };
    for status in present.state.statuses.get_all(&ids).into_iter().flatten().filter(is_exposed) {
        // A float model's answer could never be decided.
        let (receipt, signed) = (status.receipt, present.receipt_at(&status));
        if signed.is_some_and(|signed| signed.receipt.is_exact()) {
            present.state.statuses.change(&receipt, |status| status.standing = Standing::Challenged);
            present.events.push(Event::Questioned { receipt });
        }
    }
    present.questioned.extend(exposed);
}

/// A report is forgotten once nobody can refute its receipt any more.
fn forget_audits(present: &mut Present, over: Option<u64>, anchored: &[(Digest, Amount)]) {
    let ids: Vec<_> = anchored.iter().map(|(id, _)| *id).chain(present.open.ended.iter().copied()).collect();
    for id in ids {
        let is_over = |status: &ReceiptStatus| {
            over.is_some_and(|over| status.epoch <= over) && status.standing != Standing::Challenged
        };
        let audits = audits_of(present, &id);
        if !audits.is_empty() && present.state.statuses.get(&id).as_ref().is_some_and(is_over) {
            for audit in audits {
                present.state.audits.remove(&(audit.receipt, audit.auditor));
            }
        }
    }
}

/// What receipts charged is due once their windows are over, unless the validators still have to decide about them.
fn ripen(present: &mut Present, over: Option<u64>, anchored: &[(Digest, Amount)]) {
    let is_charged = anchored.iter().any(|(_, charge)| *charge > 0);
    let Some(closed) = over.filter(|_| is_charged).and_then(|epoch| present.state.epochs.closed(epoch)) else { return };
    let charged = closed.receipts.iter().zip(&closed.leaves).filter(|(signed, _)| signed.receipt.charge > 0);
    let (charged, ids): (Vec<_>, Vec<_>) = charged.map(|(signed, (id, _))| (signed, *id)).unzip();
    let mut ripe = Ripe::new(&present.state);
    for (signed, status) in charged.into_iter().zip(present.state.statuses.get_all(&ids)) {
        ripe.add(&present.state, status, signed);
    }
    ripe.owe(&mut present.state, present.open.epoch);
}

/// Gives out what has come free by the end of the epoch.
fn release(present: &mut Present) {
    let time_ms = present.open.time_ms;
    let rows = present.state.allocations.rows();
    let due: Vec<_> =
        rows.map(|row| (row.beneficiary, row.due_at(time_ms))).filter(|(_, amount)| *amount > 0).collect();
    for (beneficiary, amount) in due {
        // What is allocated to rewards goes into their pool.
        let given = if beneficiary == STAKING {
            present.perform(&Fill { from: Address::from(LOCKED.0), coins: amount })
        } else {
            present.perform(&Release { to: Address::from(beneficiary.0), coins: amount })
        };
        // The records add up to what is locked, so it is there. If it were not, nothing would be written off.
        if given.is_ok() {
            present.state.allocations.change(&beneficiary, |row| row.released = row.released.saturating_add(amount));
            present.events.push(Event::Released { beneficiary, amount });
        }
    }
}
