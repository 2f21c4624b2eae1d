//! Seats in agreement: what validators announce, whom the ledger names, who sits, and what follows from it.

use evm::modules::{parameters, staking};
use ledger::{OPG, Refusal, Rules, address_of};
use protocol::{
    Action, List, Role, Text,
    registry::node_id,
    transaction::{Announce, RegisterNode, SEAT_KEYS_MAX, SeatKey, prove_possession},
};

use crate::{
    double_votes::{conflicts, show},
    world::{ALICE, CHAIN, GATEWAY, STAKE, VALIDATORS, WORKER, World, key, module_call, node, public, restored, vote},
};

pub const ADDRESS: &str = "127.0.0.1:9000";

pub fn announce(by: u8, agreement: &str, seats: &[u8]) -> Action {
    let seat =
        |seat: &u8| SeatKey { key: public(*seat), possession: prove_possession(&key(*seat), CHAIN, &public(by)) };
    let seats = List::new(seats.iter().map(seat).collect()).unwrap();
    Action::Announce(Announce { agreement: Text::new(agreement).unwrap(), seats })
}

pub fn fifth(world: &mut World) {
    let action = RegisterNode {
        role: Role::Validator,
        key: public(14),
        possession: prove_possession(&key(14), CHAIN, &public(ALICE)),
        endpoint: Text::new("http://127.0.0.1:1").unwrap(),
        stake: 3 * STAKE,
        models: List::default(),
    };
    world.send(ALICE, Action::RegisterNode(action)).unwrap();
}

/// Who is named, by seeds of first keys.
fn named(world: &World) -> Vec<u8> {
    let seats = world.ledger.named_seats();
    let mut seeds: Vec<u8> = seats.iter().filter_map(|seat| (10..15).find(|seed| public(*seed) == seat.node)).collect();
    seeds.sort_unstable();
    seeds
}

#[test]
fn a_node_is_named_for_as_many_of_its_seats_as_it_has_keys_for() {
    let mut world =
        World::governed(Rules::default(), &[(&parameters::SEATS, 6), (&parameters::SEATS_OPERATOR_CAP, 500_000)]);
    assert_eq!(named(&world), VALIDATORS, "each has its own key");
    let counts = VALIDATORS.map(|seed| world.ledger.seats_of(&node(seed)));
    assert_eq!(counts.iter().sum::<usize>(), 6);
    let two = VALIDATORS[counts.iter().position(|count| *count == 2).unwrap()];
    world.send(two, announce(two, ADDRESS, &[70, 71])).unwrap();
    let seats: Vec<_> =
        world.ledger.named_seats().into_iter().filter(|seat| seat.node == public(two)).map(|seat| seat.key).collect();
    assert_eq!(seats, [public(two), public(70)], "two seats, though it has three keys");
    assert_eq!(world.ledger.agreement_addresses(), [(public(two), ADDRESS.to_owned())]);
    assert_eq!(world.ledger.announced(&node(two)), Some((ADDRESS.to_owned(), vec![public(70), public(71)])));
    let bytes = closed(&mut world);
    let restored = restored(&bytes, &world.ledger).unwrap();
    assert_eq!(restored.named_seats(), world.ledger.named_seats());
    assert_eq!(restored.node_of_seat(&public(71)), node(two));
}

#[test]
fn nobody_is_named_for_more_than_its_share_of_the_seats_that_have_keys() {
    let mut world = World::governed(Rules::default(), &[(&parameters::SEATS, 7)]);
    let named_of = |world: &World, of: u8| named(world).into_iter().filter(|seed| *seed == of).count();
    let counts = VALIDATORS.map(|seed| world.ledger.seats_of(&node(seed)));
    let mut two = VALIDATORS.into_iter().zip(counts).filter(|(_, count)| *count == 2).map(|(seed, _)| seed);
    let (first, second, third) = (two.next().unwrap(), two.next().unwrap(), two.next().unwrap());
    world.send(first, announce(first, ADDRESS, &[70])).unwrap();
    world.send(second, announce(second, ADDRESS, &[71])).unwrap();
    // Two of six: whoever is lost with them would take the quorum along.
    assert_eq!((named(&world).len(), named_of(&world, first)), (4, 1));
    world.send(third, announce(third, ADDRESS, &[72])).unwrap();
    assert_eq!((named(&world).len(), named_of(&world, first)), (7, 2));
}

fn closed(world: &mut World) -> Vec<u8> {
    world.epochs(1);
    world.ledger.snapshot_bytes().unwrap()
}

#[test]
fn what_cannot_be_announced_is_refused() {
    let mut world = World::new();
    let [first, second, ..] = VALIDATORS;
    assert!(matches!(world.send(WORKER, announce(WORKER, ADDRESS, &[])), Err(Refusal::WrongRole { .. })));
    assert_eq!(world.send(first, announce(first, "here", &[])), Err(Refusal::NotAnAddress));
    assert_eq!(world.send(first, announce(first, ADDRESS, &[second])), Err(Refusal::KeyTaken));
    assert_eq!(world.send(first, announce(first, ADDRESS, &[70, 70])), Err(Refusal::KeyTaken));
    let foreign = announce(second, ADDRESS, &[70]);
    assert_eq!(world.send(first, foreign), Err(Refusal::BadPossession));
    world.send(first, announce(first, ADDRESS, &[70])).unwrap();
    assert_eq!(world.send(second, announce(second, ADDRESS, &[70])), Err(Refusal::KeyTaken));
    let registered = RegisterNode {
        role: Role::Worker,
        key: public(70),
        possession: prove_possession(&key(70), CHAIN, &public(ALICE)),
        endpoint: Text::new("http://127.0.0.1:1").unwrap(),
        stake: 2_000 * OPG,
        models: List::default(),
    };
    assert_eq!(world.send(ALICE, Action::RegisterNode(registered)), Err(Refusal::KeyTaken));
    let many: Vec<u8> = (150..150 + u8::try_from(SEAT_KEYS_MAX).unwrap()).collect();
    let too_many = Err(Refusal::TooManySeatKeys { found: SEAT_KEYS_MAX + 1, limit: SEAT_KEYS_MAX });
    assert_eq!(world.send(first, announce(first, ADDRESS, &many)), too_many);
    world.send(first, announce(first, ADDRESS, &many[1..])).unwrap();
}

/// A validator's key for a seat, registered afterwards as a node of its own.
#[test]
fn a_key_that_is_announced_and_registered_is_named_once_and_the_committee_changes() {
    let mut world = World::governed(Rules::default(), &[(&parameters::SEATS_OPERATOR_CAP, 1_000_000)]);
    let first = VALIDATORS[0];
    world.send(first, announce(first, ADDRESS, &[70, 71])).unwrap();
    let operator = alloy_primitives::Address::from(address_of(&public(ALICE)).0);
    let message = staking::possession_message(CHAIN, operator, Role::Validator);
    let call = staking::IStaking::registerCall {
        role: 1,
        key: public(70).0.into(),
        possession: key(70).sign(staking::POSSESSION_DOMAIN, &message).0.to_vec().into(),
        commission: 0,
        commissionMax: 0,
        commissionStep: 0,
    };
    // Whoever sees both may refuse it; that it is refused is not what the committee stands on.
    let _: Result<(), _> = world.send(ALICE, module_call(staking::ADDRESS, 3 * STAKE, &call));
    world.epochs(u64::from(Rules::default().term_epochs));
    let seats = world.ledger.named_seats();
    let keys: Vec<_> = seats.iter().map(|seat| seat.key).collect();
    assert_eq!(keys.iter().filter(|key| **key == public(70)).count(), 1, "named once");
    assert_eq!((keys.len(), keys.iter().collect::<std::collections::BTreeSet<_>>().len()), (6, 6));
    world.ledger.seat(1, &keys);
    let sit = &world.ledger.network().seats;
    assert!(
        seats.iter().zip(sit.iter()).all(|(named, seat)| seat.node == node_id(&named.node)),
        "by whom they are named"
    );
}

#[test]
fn who_sits_votes_and_who_left_does_not() {
    let mut world = World::new();
    fifth(&mut world);
    assert!(!named(&world).contains(&14), "seats are decided as a term begins");
    world.epochs(u64::from(Rules::default().term_epochs));
    assert!(named(&world).contains(&14));
    let answer = world.challenged();
    assert_eq!(world.send(14, vote(&answer, true)), Err(Refusal::NotInCommittee));
    world.ledger.seat(1, &[11, 12, 13, 14].map(public));
    assert_eq!(world.send(10, vote(&answer, true)), Err(Refusal::NotInCommittee));
    world.send(14, vote(&answer, true)).unwrap();
    world.ledger.seat(1, &VALIDATORS.map(public));
    assert_eq!(world.ledger.network().term, 1);
    assert!(world.ledger.network().committee.contains(&node(14)), "a term is told once");
    let bytes = closed(&mut world);
    let restored = restored(&bytes, &world.ledger).unwrap();
    assert_eq!(restored.network(), world.ledger.network());
}

#[test]
fn double_votes_of_this_term_and_the_one_before_are_answered_for_by_whoever_sat_in_it() {
    let (culprit, evidence) = conflicts().remove(0);
    let mut world = World::new();
    world.ledger.seat(1, &[11, 12, 13, 14].map(public));
    let mut later = world.clone();
    world.send(GATEWAY, show(&evidence)).unwrap();
    assert!(world.ledger.staked(&node(culprit)).unwrap().tombstoned);
    later.ledger.seat(2, &VALIDATORS.map(public));
    let refused = later.send(GATEWAY, show(&evidence)).unwrap_err();
    assert!(matches!(&refused, Refusal::Evidence(words) if words.starts_with("of agreement's term 0")), "{refused}");
}
