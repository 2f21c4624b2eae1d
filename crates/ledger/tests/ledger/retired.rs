//! Keys that are retired: what they signed is answered for as long as it can come.

use ledger::{Event, Offence, Refusal, Rules};
use protocol::{
    Action, Role, Standing, Text,
    registry::node_id,
    transaction::{RotateKey, UpdateNode, prove_possession},
};

use crate::world::{
    AUDITOR, Answer, CHAIN, GATEWAY, VALIDATORS, WORKER, World, challenge, key, node, post, public, vote,
};

/// Receipts are anchored until ten seconds after their end, so a retired key answers for sixteen epochs.
fn rules() -> Rules {
    Rules { receipt_age_ms: 10_000, ..Rules::default() }
}

fn rotate(world: &mut World, seed: u8, to: u8) {
    let operator = seed + 100;
    let possession = prove_possession(&key(to), CHAIN, &public(operator));
    let rotation = RotateKey { node: node(seed), key: public(to), possession };
    world.send(operator, Action::RotateKey(rotation)).unwrap();
}

/// The answer as the worker's second key signs it.
fn renewed(answer: &Answer, key: u8, valid_from: u64) -> protocol::SignedReceipt {
    answer.changed(key, |receipt| {
        receipt.worker_key = public(key);
        receipt.key_valid_from = valid_from;
    })
}

#[test]
fn the_grace_is_as_many_epochs_as_can_pass_until_the_last_receipt_is_too_old() {
    assert_eq!(rules().retired_epochs(), 16);
    assert_eq!(Rules { receipt_age_ms: 1, clock_skew_ms: 0, ..Rules::default() }.retired_epochs(), 1);
    assert_eq!(Rules::default().retired_epochs(), 606);
}

#[test]
fn a_liar_cannot_rotate_away_from_a_receipt() {
    let mut world = World::with(rules());
    let lie = world.answer(WORKER);
    rotate(&mut world, WORKER, 201);
    world.epochs(9);
    let before = world.stake(WORKER);
    world.posting(&lie.signed).unwrap();
    world.send(AUDITOR, challenge(&lie, true)).unwrap();
    VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(&lie, true)).unwrap());
    assert_eq!(world.ledger.status(&lie.id()).unwrap().standing, Standing::Refuted);
    assert_eq!(world.stake(WORKER), before / 2);
}

#[test]
fn a_liar_cannot_rotate_away_from_the_second_of_two_receipts_under_one_number() {
    let mut world = World::with(rules());
    let first = world.anchored(WORKER);
    let second = first.changed(WORKER, |receipt| receipt.finished_at_ms += 1);
    rotate(&mut world, WORKER, 201);
    world.epochs(3);
    let (_, events) = world.tell(GATEWAY, post([&second]));
    let slashed = |event: &Event| matches!(event, Event::Slashed { offence: Offence::Equivocation, .. });
    assert!(events.iter().any(slashed), "{events:?}");
    assert_eq!(world.stake(WORKER), 0);
}

#[test]
fn an_honest_worker_rotates_with_receipts_under_way_and_goes_on() {
    let mut world = World::with(rules());
    let old = world.answer(WORKER);
    rotate(&mut world, WORKER, 201);
    world.next_epoch();
    let next = renewed(&world.answer(WORKER), 201, 1);
    // Out of order too: the new key's receipt may be there before the old one's.
    world.posting(&next).unwrap();
    world.epochs(8);
    world.posting(&old.signed).unwrap();
    assert_eq!(world.ledger.status(&old.id()).unwrap().standing, Standing::Anchored);
    assert!(!world.ledger.node(&node(WORKER)).unwrap().jailed);
}

#[test]
fn a_retired_key_ends_with_the_last_receipt_that_may_come() {
    let mut world = World::with(rules());
    // Not too old by its time: a worker's clock may run ahead.
    let answer = world.answer(WORKER);
    rotate(&mut world, WORKER, 201);
    world.epochs(16);
    let late = answer.changed(WORKER, |receipt| receipt.finished_at_ms = world.time_ms);
    world.posting(&late).unwrap();
    world.epochs(1);
    let gone = answer.changed(WORKER, |receipt| {
        receipt.sequence = 9;
        receipt.finished_at_ms = world.time_ms;
    });
    assert_eq!(world.posting(&gone), Err(Refusal::KeyNotValid { from: 0, until: 17, epoch: 17 }));
    let young = renewed(&answer, 201, 1);
    assert!(matches!(world.posting(&young), Err(Refusal::Equivocation { .. })), "the new key goes on");
}

#[test]
fn a_retired_key_signs_receipts_and_does_nothing_else() {
    let mut world = World::with(rules());
    rotate(&mut world, WORKER, 201);
    rotate_gateway_and_check(&mut world);
    let update = |endpoint: &str| {
        let endpoint = Text::new(endpoint).unwrap();
        Action::UpdateNode(UpdateNode { endpoint, models: protocol::List::default() })
    };
    assert_eq!(world.send(WORKER, update("http://old")), Err(Refusal::KeyNotValid { from: 0, until: 1, epoch: 1 }));
    world.send(201, update("http://new")).unwrap();
    // Twice rotated: the first key still answers, and still does not act.
    rotate(&mut world, WORKER, 202);
    assert_eq!(world.send(WORKER, update("http://old")), Err(Refusal::KeyNotValid { from: 0, until: 1, epoch: 1 }));
    world.send(201, update("http://last")).unwrap();
    assert_eq!(world.ledger.key(&public(WORKER)).unwrap().valid_until, 1 + 16);
    assert_eq!(world.ledger.key(&public(202)).unwrap().node, node_id(&public(WORKER)));
}

/// Only a worker's key signs what may come late: a gateway's ends with its epoch.
fn rotate_gateway_and_check(world: &mut World) {
    rotate(world, GATEWAY, 203);
    world.next_epoch();
    let record = world.ledger.key(&public(GATEWAY)).unwrap();
    assert_eq!((record.role, record.valid_until), (Role::Gateway, 1));
    let answer = world.answer(WORKER);
    let refused = world.send(GATEWAY, post([&answer.signed]));
    assert_eq!(refused, Err(Refusal::KeyNotValid { from: 0, until: 1, epoch: 1 }));
}

#[test]
fn a_restored_ledger_knows_by_which_key_a_node_acts() {
    let mut world = World::with(rules());
    let old = world.answer(WORKER);
    rotate(&mut world, WORKER, 201);
    world.epochs(2);
    let snapshot = world.ledger.snapshot().unwrap();
    world.ledger = crate::world::restored(snapshot.bytes(), &world.ledger).unwrap();
    world.posting(&old.signed).unwrap();
    let update = UpdateNode { endpoint: Text::default(), models: protocol::List::default() };
    let refused = world.send(WORKER, Action::UpdateNode(update));
    assert!(matches!(refused, Err(Refusal::KeyNotValid { from: 0, until: 1, .. })), "{refused:?}");
}
