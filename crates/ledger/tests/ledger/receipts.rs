//! Anchoring receipts, and the games that workers and gateways may play with them.

use ledger::{Event, Offence, Refusal, Rules};
use protocol::{
    Action, Digest, List, Privacy, Receipt, Role, Standing, receipt::ChargeFault, transaction::PostReceipts,
};

use crate::world::{ALICE, Answer, CHAIN, GATEWAY, OTHER_WORKER, STAKE, WORKER, World, charging, node, post, public};

/// What the ledger says about a worker's next receipt, changed and signed again.
fn refused(change: impl FnOnce(&mut Receipt)) -> Refusal {
    let mut world = World::new();
    let answer = world.answer(WORKER);
    let signed = answer.changed(WORKER, change);
    let refusal = world.posting(&signed).unwrap_err();
    assert_eq!(world.ledger.receipt(&signed.receipt.id()), None);
    assert_eq!(world.stake(WORKER), STAKE);
    refusal
}

#[test]
fn a_receipt_is_anchored_at_its_place_in_the_open_epoch() {
    let mut world = World::new();
    world.epochs(2);
    let (first, second) = (world.answer(WORKER), world.answer(OTHER_WORKER));
    let (result, events) = world.tell(GATEWAY, post([&first.signed, &second.signed]));
    result.unwrap();
    let anchored = |answer: &Answer, worker, index| Event::ReceiptAnchored {
        receipt: answer.id(),
        worker: node(worker),
        epoch: 2,
        index,
    };
    assert_eq!(events, [anchored(&first, WORKER, 0), anchored(&second, OTHER_WORKER, 1)]);
    let status = world.ledger.status(&second.id()).unwrap();
    assert_eq!((status.standing, status.epoch, status.index), (Standing::Anchored, 2, 1));
    assert_eq!((status.worker, status.gateway), (node(OTHER_WORKER), node(GATEWAY)));
    assert_eq!(world.ledger.epoch_receipts(2).unwrap().len(), 2);
    assert_eq!(world.ledger.epoch_receipts(3), None);
}

#[test]
fn one_bad_receipt_does_not_sink_the_others() {
    let mut world = World::new();
    let (first, bad, last) = (world.answer(WORKER), world.answer(OTHER_WORKER), world.answer(WORKER));
    let mut forged = bad.signed.clone();
    forged.signature.0[0] ^= 1;
    let (result, events) = world.tell(GATEWAY, post([&first.signed, &forged, &last.signed]));
    result.unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[1], Event::ReceiptRefused { receipt: bad.id(), refusal: Refusal::ReceiptSignature });
    assert_eq!(world.ledger.status(&last.id()).unwrap().index, 1);
    world.posting(&bad.signed).unwrap();
}

#[test]
fn only_a_gateway_posts_and_only_what_names_it() {
    let mut world = World::new();
    let answer = world.answer(WORKER);
    let batch = post([&answer.signed]);
    assert_eq!(world.send(ALICE, batch.clone()), Err(Refusal::UnknownKey));
    let wrong = Refusal::WrongRole { found: Role::Worker, expected: Role::Gateway };
    assert_eq!(world.send(WORKER, batch), Err(wrong));
    assert_eq!(world.send(GATEWAY, post([])), Err(Refusal::NoReceipts));
    assert_eq!(refused(|receipt| receipt.gateway = public(ALICE)), Refusal::WrongGateway);
}

#[test]
fn a_receipt_of_another_chain_is_refused() {
    assert_eq!(refused(|receipt| receipt.chain_id = 8), Refusal::WrongChain { found: 8, expected: CHAIN });
}

#[test]
fn a_receipt_is_signed_by_a_valid_key_of_its_worker() {
    assert_eq!(refused(|receipt| receipt.worker_key = public(77)), Refusal::UnknownKey);
    assert_eq!(refused(|receipt| receipt.worker = node(OTHER_WORKER)), Refusal::WrongWorker);
    assert_eq!(refused(|receipt| receipt.worker_key = public(OTHER_WORKER)), Refusal::WrongWorker);
    let wrong = Refusal::WrongRole { found: Role::Gateway, expected: Role::Worker };
    assert_eq!(refused(|receipt| receipt.worker_key = public(GATEWAY)), wrong);
    let start = Refusal::WrongKeyStart { found: 3, expected: 0 };
    assert_eq!(refused(|receipt| receipt.key_valid_from = 3), start);
    let mut world = World::new();
    let answer = world.answer(WORKER);
    let forged = answer.changed(OTHER_WORKER, |_| {});
    assert_eq!(world.posting(&forged), Err(Refusal::ReceiptSignature));
}

#[test]
fn a_receipt_of_unknown_content_is_refused() {
    assert_eq!(refused(|receipt| receipt.model = Digest::ZERO), Refusal::UnknownModel(Digest::ZERO));
    assert_eq!(refused(|receipt| receipt.spec_version = 2), Refusal::UnknownSpec { found: 2, newest: 1 });
    assert_eq!(refused(|receipt| receipt.received_at_ms += 1), Refusal::TimesReversed);
    let future = refused(|receipt| receipt.finished_at_ms += 5_001);
    assert!(matches!(future, Refusal::InTheFuture { found, latest } if found == latest + 1));
}

#[test]
fn a_charge_that_does_not_follow_from_its_terms_and_tokens_is_refused() {
    let charged = refused(|receipt| receipt.charge += 1);
    assert!(matches!(charged, Refusal::Charge(ChargeFault::Amount { .. })), "{charged}");
    let unagreed = refused(|receipt| (receipt.payment, receipt.charge) = (None, 1));
    assert!(matches!(unagreed, Refusal::Charge(ChargeFault::Amount { .. })), "{unagreed}");
    let shown = refused(|receipt| receipt.privacy = Privacy::Full);
    assert!(matches!(shown, Refusal::Charge(ChargeFault::Shown { .. })), "{shown}");
}

#[test]
fn a_charge_above_all_coins_that_there_are_is_refused_and_stands_in_nobodys_way() {
    let mut world = World::new();
    let (first, second) = (world.answer(WORKER), world.answer(OTHER_WORKER));
    let supply = world.ledger.network().supply;
    for found in [supply + 1, u128::MAX] {
        let most = first.changed(WORKER, |receipt| charging(receipt, found));
        assert_eq!(world.posting(&most), Err(Refusal::ChargeAboveSupply { found, supply }));
    }
    let one = second.changed(OTHER_WORKER, |receipt| charging(receipt, 1));
    world.posting(&one).unwrap();
    let record = world.next_epoch();
    assert_eq!((record.receipts_sum, record.receipts_count), (1, 1));
}

#[test]
fn a_receipt_is_anchored_once() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    assert_eq!(world.posting(&answer.signed), Err(Refusal::AlreadyAnchored));
    world.next_epoch();
    assert_eq!(world.posting(&answer.signed), Err(Refusal::AlreadyAnchored));
    let other = world.answer(OTHER_WORKER);
    let batch = List::new(vec![other.signed.clone(), other.signed]).unwrap();
    let (_, events) = world.tell(GATEWAY, Action::PostReceipts(PostReceipts { receipts: batch }));
    assert!(matches!(events[1], Event::ReceiptRefused { refusal: Refusal::AlreadyAnchored, .. }));
}

#[test]
fn a_receipt_posted_late_or_out_of_order_is_anchored_all_the_same() {
    let mut world = World::new();
    let answers = [0; 3].map(|_| world.answer(WORKER));
    world.epochs(40);
    for index in [2, 0, 1] {
        world.posting(&answers[index].signed).unwrap();
    }
}

#[test]
fn a_receipt_is_anchored_up_to_its_age_and_refused_beyond_it() {
    let mut world = World::with(Rules { receipt_age_ms: 10_000, ..Rules::default() });
    let (first, second) = (world.answer(WORKER), world.answer(WORKER));
    let earliest = world.time_ms;
    world.epochs(10);
    world.posting(&first.signed).unwrap();
    world.time_ms += 1;
    let refusal = Refusal::TooOld { found: earliest, earliest: earliest + 1 };
    assert_eq!(world.posting(&second.signed), Err(refusal));
    assert_eq!(world.ledger.receipt(&second.id()), None);
    let third = world.answer(WORKER);
    assert_eq!(world.posting(&third.signed), Ok(()), "a gap where one came too late does not stop the chain");
}

#[test]
fn a_contradiction_is_evidence_however_old_it_is() {
    let mut world = World::with(Rules { receipt_age_ms: 10_000, ..Rules::default() });
    let answer = world.anchored(WORKER);
    world.epochs(40);
    let other = answer.changed(WORKER, |receipt| receipt.output_tokens += 1);
    assert_eq!(world.posting(&other), Err(Refusal::Equivocation { first: answer.id(), sequence: 0 }));
    assert_eq!(world.stake(WORKER), 0);
}

#[test]
fn two_receipts_under_one_sequence_number_are_kept_as_evidence_and_slashed_once() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    let other = answer.changed(WORKER, |receipt| receipt.output_tokens += 1);
    let third = answer.changed(WORKER, |receipt| receipt.output_tokens += 2);
    let (result, events) = world.tell(GATEWAY, post([&other, &third]));
    result.unwrap();
    let refusal = Refusal::Equivocation { first: answer.id(), sequence: 0 };
    let refused = |receipt, refusal: &Refusal| Event::ReceiptRefused { receipt, refusal: refusal.clone() };
    let expected = [
        Event::Slashed { node: node(WORKER), offence: Offence::Equivocation, amount: STAKE },
        Event::Jailed { node: node(WORKER) },
        refused(other.receipt.id(), &refusal),
        refused(third.receipt.id(), &refusal),
    ];
    assert_eq!(events, expected);
    let kept: Vec<_> = world.ledger.equivocations().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].first, kept[0].second, kept[0].slashed), (answer.id(), other.receipt.id(), STAKE));
    assert_eq!((world.stake(WORKER), world.ledger.burned()), (0, STAKE));
}

#[test]
fn who_has_nothing_left_to_lose_fills_no_table() {
    let mut world = World::new();
    let answers: Vec<_> = (0..5).map(|_| world.anchored(WORKER)).collect();
    for answer in &answers {
        let other = answer.changed(WORKER, |receipt| receipt.output_tokens += 1);
        let sequence = other.receipt.sequence;
        assert_eq!(world.posting(&other), Err(Refusal::Equivocation { first: answer.id(), sequence }));
    }
    assert_eq!((world.ledger.equivocations().count(), world.stake(WORKER)), (1, 0));
}

#[test]
fn a_forged_second_receipt_slashes_nobody() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    let forged = answer.changed(GATEWAY, |receipt| receipt.output_tokens += 1);
    assert_eq!(world.posting(&forged), Err(Refusal::ReceiptSignature));
    assert_eq!(world.stake(WORKER), STAKE);
}

#[test]
fn receipts_that_do_not_form_one_chain_are_refused() {
    let first = refused(|receipt| receipt.previous = Digest([1; 32]));
    assert_eq!(first, Refusal::BrokenChain { before: 0 });
    let mut world = World::new();
    world.anchored(WORKER);
    let second = world.answer(WORKER);
    let forked = second.changed(WORKER, |receipt| receipt.previous = Digest([1; 32]));
    assert_eq!(world.posting(&forked), Err(Refusal::BrokenChain { before: 1 }));
    let (third, fourth) = (world.answer(WORKER), world.answer(WORKER));
    world.posting(&fourth.signed).unwrap();
    let other = third.changed(WORKER, |receipt| receipt.output_tokens += 1);
    assert_eq!(world.posting(&other), Err(Refusal::BrokenChain { before: 2 }), "the next names another");
    world.posting(&third.signed).unwrap();
    world.posting(&second.signed).unwrap();
}

#[test]
fn the_last_sequence_number_is_no_trap() {
    let mut world = World::new();
    let answer = world.answer(WORKER);
    let last = answer.changed(WORKER, |receipt| receipt.sequence = u64::MAX);
    world.posting(&last).unwrap();
}
