//! Anchoring receipts: each stands on its own, so one bad receipt does not sink the others of its batch.

use std::{collections::BTreeMap, sync::Arc};

use crypto::{hash, merkle::SumNode};
use protocol::{
    Digest, PublicKey, Receipt, ReceiptStatus, Role, SignedReceipt, Standing, registry::ModelKind,
    transaction::PostReceipts,
};

use crate::{
    credit::added,
    event::{Event, Offence},
    present::Present,
    records::EquivocationRecord,
    refusal::Refusal,
    verdict::slash,
};

pub(super) fn post(
    present: &mut Present,
    sender: &PublicKey,
    batch: PostReceipts,
    read: &[(Digest, bool)],
) -> Result<(), Refusal> {
    let gateway = present.acting(sender, Role::Gateway)?.node;
    if batch.receipts.is_empty() {
        return Err(Refusal::NoReceipts);
    }
    let (mut jailed, mut limit) = (BTreeMap::new(), None);
    for (signed, (receipt, is_signed)) in batch.receipts.into_inner().into_iter().zip(read.iter().copied()) {
        let worker = signed.receipt.worker;
        let is_jailed = *jailed.entry(worker).or_insert_with(|| present.state.is_jailed(&worker));
        let checked = check(present, sender, (receipt, is_signed, is_jailed), &signed);
        let checked = checked.and_then(|()| present.within_credit(&gateway, signed.receipt.charge, &mut limit));
        if let Err(refusal) = checked {
            if let Refusal::Equivocation { first, .. } = refusal {
                keep_evidence(present, first, (receipt, &signed.receipt));
                // The slash may have jailed it, and others with it, and have taken of what stands for a gateway.
                jailed.clear();
                limit = None;
            }
            present.events.push(Event::ReceiptRefused { receipt, refusal });
        } else {
            anchor(present, gateway, receipt, signed);
        }
    }
    Ok(())
}

fn check(
    present: &Present,
    sender: &PublicKey,
    (id, is_signed, is_jailed): (Digest, bool, bool),
    signed: &SignedReceipt,
) -> Result<(), Refusal> {
    let (receipt, network) = (&signed.receipt, &present.state.network);
    if receipt.chain_id != network.chain_id {
        return Err(Refusal::WrongChain { found: receipt.chain_id, expected: network.chain_id });
    }
    if receipt.gateway != *sender {
        return Err(Refusal::WrongGateway);
    }
    // Before anything is looked for on the disk: what its worker did not sign costs nobody a reading.
    check_key(present, receipt)?;
    if !is_signed {
        return Err(Refusal::ReceiptSignature);
    }
    // Its number is part of what its id commits to.
    let same_number = present.state.epochs.sequence(&receipt.worker, receipt.sequence);
    if same_number == Some(id) {
        return Err(Refusal::AlreadyAnchored);
    }
    if let Some(first) = same_number {
        return Err(Refusal::Equivocation { first, sequence: receipt.sequence });
    }
    let next = next_of(present, receipt);
    notice_lost(present, id, receipt, next.as_deref());
    check_chain(present, id, receipt, next.as_deref())?;
    if is_jailed {
        return Err(Refusal::Jailed);
    }
    check_content(present, receipt)
}

/// The key is the named worker's, and valid in the epoch that would anchor the receipt.
fn check_key(present: &Present, receipt: &Receipt) -> Result<(), Refusal> {
    let key = present.signing(&receipt.worker_key)?;
    if key.role != Role::Worker {
        return Err(Refusal::WrongRole { found: key.role, expected: Role::Worker });
    }
    if key.node != receipt.worker {
        return Err(Refusal::WrongWorker);
    }
    if key.valid_from != receipt.key_valid_from {
        return Err(Refusal::WrongKeyStart { found: receipt.key_valid_from, expected: key.valid_from });
    }
    Ok(())
}

/// The one behind it in its worker's chain, if that is anchored already.
fn next_of(present: &Present, receipt: &Receipt) -> Option<Arc<SignedReceipt>> {
    let after = receipt.sequence.checked_add(1)?;
    present.receipt(&present.state.epochs.sequence(&receipt.worker, after)?)
}

/// No receipt is found under its number, which is free where the worker left a gap. It is not where the receipt that has it is known all the
/// same, because it is this one, or the one that the next one names: then the disk has lost the number, and to go on would be to take the
/// number twice.
fn notice_lost(present: &Present, id: Digest, receipt: &Receipt, next: Option<&SignedReceipt>) {
    let (worker, number) = (receipt.worker, receipt.sequence);
    if !present.state.epochs.is_late(&worker, number) {
        return;
    }
    let named = next.map_or(id, |next| next.receipt.previous);
    let anchored = present.receipt(&named);
    if anchored.is_some_and(|signed| (signed.receipt.worker, signed.receipt.sequence) == (worker, number)) {
        present.state.epochs.lost(&worker, number);
    }
}

/// Each names the one before.
fn check_chain(present: &Present, id: Digest, receipt: &Receipt, next: Option<&SignedReceipt>) -> Result<(), Refusal> {
    let anchored = |sequence: u64| present.state.epochs.sequence(&receipt.worker, sequence);
    let broken = Refusal::BrokenChain { before: receipt.sequence };
    match receipt.sequence.checked_sub(1) {
        None if receipt.previous != Digest::ZERO => return Err(broken),
        Some(before) if anchored(before).is_some_and(|previous| previous != receipt.previous) => return Err(broken),
        None | Some(_) => {}
    }
    if next.is_some_and(|next| next.receipt.previous != id) {
        return Err(broken);
    }
    Ok(())
}

fn check_content(present: &Present, receipt: &Receipt) -> Result<(), Refusal> {
    let (state, rules) = (&present.state, &present.state.network.rules);
    let model = state.models.get(&receipt.model).ok_or(Refusal::UnknownModel(receipt.model))?;
    check_form(model.kind, receipt)?;
    if receipt.spec_version > rules.spec_version {
        return Err(Refusal::UnknownSpec { found: receipt.spec_version, newest: rules.spec_version });
    }
    if receipt.finished_at_ms < receipt.received_at_ms {
        return Err(Refusal::TimesReversed);
    }
    let latest = present.open.time_ms.saturating_add(u64::from(rules.clock_skew_ms));
    if receipt.finished_at_ms > latest {
        return Err(Refusal::InTheFuture { found: receipt.finished_at_ms, latest });
    }
    // Its worker may have forgotten by now what opens it, and must not be challenged for that.
    let earliest = present.open.time_ms.saturating_sub(u64::from(rules.receipt_age_ms));
    if receipt.finished_at_ms < earliest {
        return Err(Refusal::TooOld { found: receipt.finished_at_ms, earliest });
    }
    receipt.check_charge()?;
    let (found, supply) = (receipt.charge, state.network.supply);
    if found > supply {
        return Err(Refusal::ChargeAboveSupply { found, supply });
    }
    added(present.open.charges, found).map(drop)
}

/// A receipt is exact where its model is, and claims no more than its form bears.
fn check_form(kind: ModelKind, receipt: &Receipt) -> Result<(), Refusal> {
    match (kind, receipt.is_exact()) {
        (ModelKind::Exact, true) => Ok(()),
        (ModelKind::Float, false) if !receipt.assurance.needs_exact_form() => Ok(()),
        (ModelKind::Float, false) => Err(Refusal::ClaimsTooMuch(receipt.assurance)),
        (ModelKind::Exact, false) | (ModelKind::Float, true) => Err(Refusal::OtherForm(kind)),
    }
}

fn anchor(present: &mut Present, gateway: Digest, id: Digest, signed: SignedReceipt) {
    let (worker, epoch) = (signed.receipt.worker, present.open.epoch);
    let index = u64::try_from(present.open.receipts.len()).unwrap_or(u64::MAX);
    present.open.ids.push((id, signed.receipt.charge));
    present.open.leaves.push(SumNode::leaf(&id, signed.receipt.charge));
    present.open.charges = present.open.charges.saturating_add(signed.receipt.charge);
    present.state.add_charge(gateway, signed.receipt.charge);
    present.state.statuses.put(ReceiptStatus {
        receipt: id,
        worker,
        gateway,
        epoch,
        index,
        standing: Standing::Anchored,
        audits: 0,
        slashed: 0,
    });
    present.state.epochs.number(worker, signed.receipt.sequence, id);
    present.questioned.remove(&worker);
    present.open.receipts.push(Arc::new(signed));
    present.events.push(Event::ReceiptAnchored { receipt: id, worker, epoch, index });
}

/// The first contradiction under a sequence number is slashed for and kept; more of the same add nothing. One that takes nothing, because
/// nothing is left to take, is not kept either: else who has lost all could fill the state.
fn keep_evidence(present: &mut Present, first: Digest, (id, second): (Digest, &Receipt)) {
    let (worker, sequence) = (second.worker, second.sequence);
    if present.state.equivocations.contains(&(worker, sequence)) {
        return;
    }
    let epoch = present.open.epoch;
    // The second receipt is shown now; when it was signed nobody knows, but the first was anchored then.
    let signed = present.state.statuses.get(&first).map_or(epoch, |status| status.epoch);
    let shows = hash("og/evidence/equivocation/v1", &[&worker.0, &sequence.to_be_bytes()]);
    // All of it is burned: a gateway that got a share could buy the second signature from the worker.
    let slashed = slash(present, worker, Offence::Equivocation, (shows, signed), None);
    if slashed > 0 {
        let second = id;
        present.state.equivocations.put(EquivocationRecord { worker, sequence, first, second, epoch, slashed });
    }
}
