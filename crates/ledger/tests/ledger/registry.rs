//! Nodes, keys and models.

use ledger::{Event, OPG, Refusal, Rules, address_of};
use protocol::{
    Action, Digest, List, Role, Text,
    registry::{OPEN_END, node_id},
    transaction::{PublishModel, RegisterNode, RotateKey, UpdateNode, prove_possession},
};

use crate::world::{ALICE, BOB, CHAIN, STAKE, VALIDATORS, WORKER, World, challenge, key, model, node, public, vote};

/// The operator's seed of a worker in the genesis.
const OPERATOR: u8 = WORKER + 100;

fn registration(role: Role, seed: u8, operator: u8, stake: u128) -> RegisterNode {
    RegisterNode {
        role,
        key: public(seed),
        possession: prove_possession(&key(seed), CHAIN, &public(operator)),
        endpoint: Text::new("http://127.0.0.1:1").unwrap(),
        stake,
        models: List::default(),
    }
}

fn rotation(of: Digest, to: u8, operator: u8) -> Action {
    let possession = prove_possession(&key(to), CHAIN, &public(operator));
    Action::RotateKey(RotateKey { node: of, key: public(to), possession })
}

fn update(models: Vec<Digest>) -> Action {
    let endpoint = Text::new("http://127.0.0.1:2").unwrap();
    Action::UpdateNode(UpdateNode { endpoint, models: List::new(models).unwrap() })
}

fn publish(root: Digest, name: &str) -> Action {
    Action::PublishModel(PublishModel { root, name: Text::new(name).unwrap(), float_manifest: None })
}

#[test]
fn a_registration_bonds_the_stake_from_the_sender() {
    let mut world = World::new();
    world.epochs(2);
    let before = world.ledger.account(&public(ALICE)).balance;
    let action = RegisterNode {
        models: List::new(vec![model()]).unwrap(),
        ..registration(Role::Worker, 200, ALICE, 2_000 * OPG)
    };
    world.send(ALICE, Action::RegisterNode(action)).unwrap();
    assert_eq!(world.ledger.account(&public(ALICE)).balance, before - 2_000 * OPG);
    let record = world.ledger.node(&node(200)).unwrap();
    let alice = address_of(&public(ALICE));
    assert_eq!((record.operator, record.payout), (alice, alice));
    assert_eq!((record.stake, record.registered_epoch), (2_000 * OPG, 2));
    let key = world.ledger.key(&public(200)).unwrap();
    assert_eq!((key.node, key.valid_from, key.valid_until), (node(200), 2, OPEN_END));
    assert_eq!(node_id(&public(200)), node(200));
}

#[test]
fn a_registration_that_lacks_something_is_refused_and_keeps_the_money() {
    let mut world = World::new();
    let before = world.ledger.account(&public(ALICE)).balance;
    let mut send = |action| world.send(ALICE, Action::RegisterNode(action)).unwrap_err();
    let least = 1_000 * OPG;
    let short = Refusal::InsufficientStake { available: least - 1, wanted: least };
    assert_eq!(send(registration(Role::Worker, 200, ALICE, least - 1)), short);
    let poor = send(registration(Role::Worker, 200, ALICE, u128::MAX));
    assert!(matches!(poor, Refusal::InsufficientBalance { .. }));
    assert_eq!(send(registration(Role::Worker, 200, BOB, least)), Refusal::BadPossession);
    let mut elsewhere = registration(Role::Worker, 200, ALICE, least);
    elsewhere.possession = prove_possession(&key(200), CHAIN + 1, &public(ALICE));
    assert_eq!(send(elsewhere), Refusal::BadPossession);
    let mut unknown = registration(Role::Worker, 200, ALICE, least);
    unknown.models = List::new(vec![Digest::ZERO]).unwrap();
    assert_eq!(send(unknown), Refusal::UnknownModel(Digest::ZERO));
    let mut twice = registration(Role::Worker, 200, ALICE, least);
    twice.models = List::new(vec![model(), model()]).unwrap();
    assert_eq!(send(twice), Refusal::RepeatedModel(model()));
    assert_eq!(world.ledger.account(&public(ALICE)).balance, before);
    assert_eq!(world.ledger.node(&node(200)), None);
}

#[test]
fn a_key_is_registered_once_and_for_ever() {
    let mut world = World::new();
    let taken = registration(Role::Auditor, WORKER, ALICE, 1_000 * OPG);
    assert_eq!(world.send(ALICE, Action::RegisterNode(taken.clone())), Err(Refusal::KeyTaken));
    world.send(OPERATOR, rotation(node(WORKER), 201, OPERATOR)).unwrap();
    world.epochs(2);
    assert_eq!(world.send(ALICE, Action::RegisterNode(taken)), Err(Refusal::KeyTaken));
    assert_eq!(world.send(OPERATOR, rotation(node(WORKER), WORKER, OPERATOR)), Err(Refusal::KeyTaken));
}

#[test]
fn a_registered_validator_outside_the_committee_has_no_vote() {
    let mut world = World::new();
    let candidate = registration(Role::Validator, 200, ALICE, 10_000 * OPG);
    world.send(ALICE, Action::RegisterNode(candidate)).unwrap();
    let answer = world.challenged();
    assert_eq!(world.send(200, vote(&answer, true)), Err(Refusal::NotInCommittee));
    assert_eq!(world.ledger.quorum(), 3);
}

#[test]
fn a_rotated_key_ends_with_its_epoch_and_the_next_begins_with_the_next() {
    let mut world = World::new();
    world.epochs(3);
    let (result, events) = world.tell(OPERATOR, rotation(node(WORKER), 201, OPERATOR));
    result.unwrap();
    assert_eq!(events, [Event::KeyRotated { node: node(WORKER), key: public(201) }]);
    let (old, new) = (world.ledger.key(&public(WORKER)).unwrap(), world.ledger.key(&public(201)).unwrap());
    let grace = Rules::default().retired_epochs();
    assert_eq!((old.valid_from, old.valid_until), (0, 4 + grace), "receipts may still come");
    assert_eq!((new.node, new.valid_from, new.valid_until), (node(WORKER), 4, OPEN_END));
    world.send(WORKER, update(vec![model()])).unwrap();
    let early = Refusal::KeyNotValid { from: 4, until: OPEN_END, epoch: 3 };
    assert_eq!(world.send(201, update(vec![])), Err(early));
    world.next_epoch();
    world.send(201, update(vec![])).unwrap();
    let late = Refusal::KeyNotValid { from: 0, until: 4, epoch: 4 };
    assert_eq!(world.send(WORKER, update(vec![])), Err(late));
}

#[test]
fn only_the_operator_rotates_and_only_once_an_epoch() {
    let mut world = World::new();
    assert_eq!(world.send(ALICE, rotation(node(WORKER), 201, ALICE)), Err(Refusal::NotOperator));
    assert_eq!(world.send(OPERATOR, rotation(Digest::ZERO, 201, OPERATOR)), Err(Refusal::UnknownNode(Digest::ZERO)));
    assert_eq!(world.send(OPERATOR, rotation(node(WORKER), 201, ALICE)), Err(Refusal::BadPossession));
    world.send(OPERATOR, rotation(node(WORKER), 201, OPERATOR)).unwrap();
    assert_eq!(world.send(OPERATOR, rotation(node(WORKER), 202, OPERATOR)), Err(Refusal::RotatedAlready));
    world.next_epoch();
    world.send(OPERATOR, rotation(node(WORKER), 202, OPERATOR)).unwrap();
}

#[test]
fn a_validator_keeps_its_one_vote_through_a_rotation() {
    let mut world = World::new();
    let answer = world.challenged();
    world.send(VALIDATORS[0], vote(&answer, true)).unwrap();
    let operator = VALIDATORS[0] + 100;
    world.send(operator, rotation(node(VALIDATORS[0]), 201, operator)).unwrap();
    world.next_epoch();
    assert_eq!(world.send(201, vote(&answer, true)), Err(Refusal::AlreadyVoted));
}

#[test]
fn an_update_comes_from_the_nodes_own_key() {
    let mut world = World::new();
    assert_eq!(world.send(ALICE, update(vec![])), Err(Refusal::UnknownKey));
    assert_eq!(world.send(WORKER, update(vec![Digest::ZERO])), Err(Refusal::UnknownModel(Digest::ZERO)));
    assert_eq!(world.send(WORKER, update(vec![model(), model()])), Err(Refusal::RepeatedModel(model())));
    world.send(WORKER, update(vec![])).unwrap();
    let record = world.ledger.node(&node(WORKER)).unwrap();
    assert_eq!((&*record.endpoint, record.models.len(), record.stake), ("http://127.0.0.1:2", 0, STAKE));
}

#[test]
fn the_first_publisher_of_a_root_has_it_and_names_may_repeat() {
    let mut world = World::new();
    let root = crypto::hash("og/test/another", &[]);
    world.send(ALICE, publish(root, "demo")).unwrap();
    assert_eq!(world.send(BOB, publish(root, "mine")), Err(Refusal::ModelTaken(root)));
    assert_eq!(world.send(BOB, publish(Digest::ZERO, " ")), Err(Refusal::EmptyName));
    let record = world.ledger.model(&root).unwrap();
    assert_eq!((record.publisher, record.published_at_ms), (address_of(&public(ALICE)), world.time_ms));
    assert_eq!(world.ledger.models().count(), 2);
}

#[test]
fn a_newcomer_auditor_challenges_like_any_other() {
    let mut world = World::new();
    world.send(ALICE, Action::RegisterNode(registration(Role::Auditor, 200, ALICE, 1_000 * OPG))).unwrap();
    let answer = world.anchored(WORKER);
    world.send(200, challenge(&answer, true)).unwrap();
    VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(&answer, true)).unwrap());
    assert_eq!(world.ledger.account(&public(ALICE)).balance, (1_000_000 - 1_000) * OPG + STAKE / 4);
}
