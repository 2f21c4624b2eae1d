//! Which transactions count: authenticity, order, size; and what a refused one leaves behind.

use ledger::{BeginError, Block, NONCE_WINDOW, OPG, Refusal, TRANSACTION_BYTES_MAX, address_of};
use protocol::{Action, Canonical as _, DecodeError, transaction::Transfer};

use crate::world::{ALICE, BOB, CHAIN, GATEWAY, World, key, public};

fn pay(amount: u128) -> Action {
    Action::Transfer(Transfer { to: address_of(&public(BOB)), amount })
}

/// Refused alike by the mempool and in a block, where it changes nothing at all.
fn refused(world: &mut World, signed: &protocol::SignedTransaction) -> Refusal {
    let before = world.ledger.account(&signed.transaction.sender);
    let executed = world.block(std::slice::from_ref(signed));
    let refusal = executed.outcomes[0].result.clone().unwrap_err();
    assert_eq!((executed.outcomes[0].id, executed.outcomes[0].is_counted), (Some(signed.transaction.id()), false));
    assert_eq!(world.ledger.account(&signed.transaction.sender), before);
    assert_eq!(world.ledger.admit(signed), Err(refusal.clone()));
    refusal
}

#[test]
fn a_transfer_moves_what_is_there_and_no_more() {
    let mut world = World::new();
    world.send(ALICE, pay(OPG)).unwrap();
    assert_eq!(world.ledger.account(&public(BOB)).balance, 100_001 * OPG);
    assert_eq!(world.send(BOB, pay(0)), Err(Refusal::ZeroAmount));
    let available = 100_001 * OPG;
    let short = Refusal::InsufficientBalance { available, wanted: u128::MAX };
    assert_eq!(world.send(BOB, pay(u128::MAX)), Err(short));
    world.send(BOB, pay(available)).unwrap();
    assert_eq!(world.ledger.account(&public(BOB)).balance, available, "a transfer to oneself changes nothing");
}

#[test]
fn a_refused_action_uses_up_its_nonce_and_changes_nothing_else() {
    let mut world = World::new();
    let before = world.ledger.account(&public(ALICE));
    let signed = world.signed(ALICE, pay(u128::MAX));
    let executed = world.block(&[signed]);
    assert!(executed.outcomes[0].result.is_err() && executed.outcomes[0].is_counted);
    let after = world.ledger.account(&public(ALICE));
    assert_eq!((after.balance, after.nonce), (before.balance, before.nonce + 1));
}

#[test]
fn a_replay_is_refused_on_every_chain_and_at_every_time() {
    let mut world = World::new();
    let signed = world.signed(ALICE, pay(OPG));
    world.block(std::slice::from_ref(&signed));
    assert_eq!(refused(&mut world, &signed), Refusal::NonceTooLow { given: 0, next: 1 });
    let mut foreign = world.signed(ALICE, pay(OPG)).transaction;
    foreign.chain_id = CHAIN + 1;
    let foreign = foreign.sign(&key(ALICE));
    assert_eq!(refused(&mut world, &foreign), Refusal::WrongChain { found: CHAIN + 1, expected: CHAIN });
}

#[test]
fn a_transaction_that_its_sender_did_not_sign_is_refused() {
    let mut world = World::new();
    let mut signed = world.signed(ALICE, pay(OPG));
    signed.signature.0[7] ^= 1;
    assert_eq!(refused(&mut world, &signed), Refusal::BadSignature);
    let forged = world.signed(ALICE, pay(OPG)).transaction.sign(&key(BOB));
    assert_eq!(refused(&mut world, &forged), Refusal::BadSignature);
}

#[test]
fn a_stranger_leaves_no_trace() {
    let mut world = World::new();
    world.next_epoch();
    world.next_epoch();
    let signed = world.signed(99, pay(OPG));
    let mut without = world.clone();
    assert_eq!(refused(&mut world, &signed), Refusal::UnknownSender(public(99)));
    without.raw_block(vec![]);
    assert_eq!(world.next_epoch(), without.next_epoch());
}

#[test]
fn nonces_run_without_gaps_but_the_mempool_may_hold_some_ahead() {
    let mut world = World::new();
    let ahead = world.signed_with(ALICE, 1, pay(OPG));
    assert_eq!(world.ledger.admit(&ahead), Ok(()));
    let executed = world.block(std::slice::from_ref(&ahead));
    let refusal = executed.outcomes[0].result.clone().unwrap_err();
    assert_eq!(refusal, Refusal::NonceTooHigh { given: 1, next: 0 });
    assert_eq!(refusal.to_string(), "nonce too high: 1 given, 0 is next");
    let first = world.signed_with(ALICE, 0, pay(OPG));
    let executed = world.block(&[first, ahead]);
    assert!(executed.outcomes.iter().all(|outcome| outcome.result.is_ok() && outcome.is_counted));
    let far = world.signed_with(ALICE, 2 + NONCE_WINDOW, pay(OPG));
    let refusal = refused(&mut world, &far);
    assert_eq!(refusal, Refusal::NonceTooHigh { given: 2 + NONCE_WINDOW, next: 2 });
    assert_eq!(world.ledger.admit(&world.signed_with(ALICE, 1 + NONCE_WINDOW, pay(OPG))), Ok(()));
}

#[test]
fn refusals_have_the_codes_of_the_interface() {
    assert_eq!(Refusal::NonceTooLow { given: 0, next: 1 }.code(), "nonce_too_low");
    assert_eq!(Refusal::NonceTooHigh { given: 1, next: 0 }.code(), "nonce_too_high");
    assert_eq!(Refusal::BadSignature.code(), "bad_transaction");
    assert!(Refusal::NonceTooLow { given: 0, next: 1 }.to_string().starts_with("nonce too low"));
}

#[test]
fn bytes_that_are_no_transaction_are_refused_and_the_block_goes_on() {
    let mut world = World::new();
    let good = world.signed(ALICE, pay(OPG)).encode();
    let garbage = vec![vec![], vec![0; 100], good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat()];
    let executed = world.raw_block(garbage.into_iter().chain([good]).collect());
    let (last, others) = executed.outcomes.split_last().unwrap();
    assert!(others.iter().all(|outcome| matches!(outcome.result, Err(Refusal::Malformed(_))) && outcome.id.is_none()));
    assert_eq!(others[3].result, Err(Refusal::Malformed(DecodeError::Trailing { count: 1 })));
    assert_eq!(last.result, Ok(()));
}

#[test]
fn a_transaction_beyond_the_limit_is_refused_before_it_is_read() {
    let mut world = World::new();
    let executed = world.raw_block(vec![vec![0; TRANSACTION_BYTES_MAX + 1]]);
    let found = TRANSACTION_BYTES_MAX + 1;
    assert_eq!(executed.outcomes[0].result, Err(Refusal::TooLarge { found, limit: TRANSACTION_BYTES_MAX }));
}

#[test]
fn the_mempool_refuses_what_would_not_be_read() {
    let mut world = World::new();
    let mut receipt = world.answer(crate::world::WORKER).signed;
    receipt.receipt.parents = protocol::List::new(vec![receipt.receipt.nonce; 16]).unwrap();
    let payment = crate::world::payment(1);
    let (mut paid, charge) = payment.paid(protocol::Privacy::Full, receipt.receipt.usage());
    paid.terms.tariff.rate = Some(protocol::price::Rate { usd_per_opg: 1, at_ms: 1 });
    (receipt.receipt.payment, receipt.receipt.charge) = (Some(paid), charge);
    let signed = world.signed(GATEWAY, crate::world::post(vec![&receipt; 256]));
    assert_eq!(world.ledger.admit(&signed), Ok(()), "the fullest batch of the largest receipts is let in");
    let opening = crate::world::Answer::new(crate::world::WORKER, 0, receipt.receipt.nonce, 0).opening;
    let text = protocol::Text::new("x".repeat(protocol::request::MESSAGE_BYTES_MAX)).unwrap();
    let message = protocol::Message::say(protocol::Speaker::User, text);
    let mut huge = protocol::transaction::Respond { receipt: receipt.receipt.nonce, opening };
    huge.opening.request.input =
        protocol::Input::Chat(protocol::Chat::of(protocol::List::new(vec![message; 4]).unwrap()));
    let signed = world.signed(ALICE, Action::Respond(huge));
    assert!(matches!(world.ledger.admit(&signed), Err(Refusal::TooLarge { .. })));
}

#[test]
fn a_block_is_executed_once_and_never_before_its_predecessor() {
    let mut world = World::new();
    let signed = world.signed(ALICE, pay(OPG));
    world.block(&[signed]);
    let again = world.blocks[0].clone();
    let balance = world.ledger.account(&public(ALICE)).balance;
    assert_eq!(world.ledger.execute(&again), Ok(None));
    assert_eq!(world.ledger.execute(&Block { height: 0, ..again.clone() }), Ok(None));
    assert_eq!(world.ledger.account(&public(ALICE)).balance, balance);
    let gap = world.ledger.execute(&Block { height: 3, ..again });
    assert_eq!(gap, Err(BeginError::Gap { found: 3, expected: 2 }));
    assert_eq!(world.ledger.height(), 1);
}
