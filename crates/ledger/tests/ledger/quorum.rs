//! Whose word counts: seats and not nodes, of those that sit now and not of those that sat.

use ledger::{Event, GenesisNode, OPG, Rules};
use protocol::{Digest, List, Role, Standing};

use crate::{
    base::{BRIDGED, name, seen, to_bob},
    seats::{ADDRESS, announce, fifth},
    world::{STAKE, VALIDATORS, World, genesis, node, operator, public, restored, vote},
};

/// Nodes with a seat each, of one operator that has split itself.
const SPLIT: [u8; 9] = [14, 15, 16, 17, 18, 19, 20, 21, 22];

/// Four validators with 55 of 64 seats, and nine with one each.
fn world() -> World {
    let mut genesis = genesis(Rules::default());
    let of_its = |seed: &u8| GenesisNode {
        role: Role::Validator,
        key: public(*seed),
        operator: operator(SPLIT[0]),
        stake: STAKE,
        ..genesis.nodes[0].clone()
    };
    let nodes = genesis.nodes.iter().cloned().chain(SPLIT.iter().map(of_its)).collect();
    genesis.nodes = List::new(nodes).unwrap();
    let mut world = World::of(&genesis);
    let mut keys: Vec<u8> = VALIDATORS.iter().chain(&SPLIT).copied().collect();
    for (index, more) in [13, 13, 13, 12].into_iter().enumerate() {
        let first = 170 + 13 * u8::try_from(index).unwrap();
        let own: Vec<u8> = (first..first + more).collect();
        world.send(VALIDATORS[index], announce(VALIDATORS[index], ADDRESS, &own)).unwrap();
        keys.extend(own);
    }
    world.ledger.seat(1, &keys.into_iter().map(public).collect::<Vec<_>>());
    assert_eq!((world.ledger.network().seats.len(), world.ledger.network().committee.len()), (64, 13));
    assert_eq!(world.ledger.quorum(), 43);
    world
}

#[test]
fn nine_nodes_with_a_seat_each_refute_nothing_that_four_with_the_other_seats_uphold() {
    let mut world = world();
    let answer = world.challenged();
    SPLIT.iter().for_each(|seed| world.send(*seed, vote(&answer, true)).unwrap());
    let standing = |world: &World| world.ledger.status(&answer.id()).unwrap().standing;
    assert_eq!(standing(&world), Standing::Challenged, "nine of 64");
    VALIDATORS[..3].iter().for_each(|seed| world.send(*seed, vote(&answer, false)).unwrap());
    assert_eq!(standing(&world), Standing::Challenged, "42 of 64");
    world.send(VALIDATORS[3], vote(&answer, false)).unwrap();
    assert_eq!(standing(&world), Standing::Upheld);
    assert!(SPLIT.iter().all(|seed| world.stake(*seed) < STAKE), "they voted falsely");
}

#[test]
fn nine_nodes_with_a_seat_each_invent_no_burn_and_name_no_key() {
    let mut world = world();
    seen(&mut world, &SPLIT, &[to_bob(0, 400 * OPG)]);
    SPLIT.iter().for_each(|seed| world.send(*seed, name(1, 9)).unwrap());
    let bridge = world.ledger.bridge();
    assert_eq!((bridge.burns, bridge.rotations), (0, 0));
    seen(&mut world, &VALIDATORS[..3], &[to_bob(0, OPG)]);
    assert_eq!(world.ledger.bridge().burns, 0, "42 of 64");
    seen(&mut world, &VALIDATORS[3..], &[to_bob(0, OPG)]);
    assert_eq!(world.ledger.balance(&ledger::BRIDGE), BRIDGED - OPG);
    VALIDATORS.iter().for_each(|seed| world.send(*seed, name(1, 8)).unwrap());
    assert_eq!((world.ledger.bridge().rotations, world.ledger.named_keys().count()), (1, 0));
}

#[test]
fn what_those_said_who_sit_no_more_does_not_count() {
    let mut world = World::new();
    fifth(&mut world);
    world.ledger.seat(1, &[10, 11, 12, 13].map(public));
    seen(&mut world, &[10, 11], &[to_bob(0, OPG)]);
    [10, 11].iter().for_each(|seed| world.send(*seed, name(1, 8)).unwrap());
    let answer = world.challenged();
    [10, 11].iter().for_each(|seed| world.send(*seed, vote(&answer, true)).unwrap());
    world.ledger.seat(2, &[12, 13, 14].map(public));
    assert_eq!(world.ledger.quorum(), 3);
    seen(&mut world, &[12], &[to_bob(0, OPG)]);
    world.send(12, name(1, 8)).unwrap();
    world.send(12, vote(&answer, true)).unwrap();
    let bridge = world.ledger.bridge();
    assert_eq!((bridge.burns, bridge.rotations), (0, 0));
    assert_eq!(world.ledger.status(&answer.id()).unwrap().standing, Standing::Challenged);
    let members = world.ledger.burns().next().unwrap().seen_by.to_vec();
    assert_eq!(members, [node(12)], "rows keep no more than sit");
    seen(&mut world, &[13, 14], &[to_bob(0, OPG)]);
    [13, 14].iter().for_each(|seed| world.send(*seed, name(1, 8)).unwrap());
    [13, 14].iter().for_each(|seed| world.send(*seed, vote(&answer, true)).unwrap());
    let bridge = world.ledger.bridge();
    assert_eq!((bridge.burns, bridge.rotations), (1, 1));
    assert_eq!(world.ledger.status(&answer.id()).unwrap().standing, Standing::Refuted);
}

#[test]
fn what_was_said_before_is_counted_again_for_those_who_came_to_sit() {
    let mut world = World::with(Rules { vote_epochs: 3, ..Rules::default() });
    seen(&mut world, &[10, 11], &[to_bob(0, OPG)]);
    [10, 11].iter().for_each(|seed| world.send(*seed, name(1, 8)).unwrap());
    let answer = world.challenged();
    [10, 11].iter().for_each(|seed| world.send(*seed, vote(&answer, true)).unwrap());
    world.ledger.seat(1, &[10, 11].map(public));
    let mut other = restored_at_close(&mut world);
    world.time_ms += 4_000;
    for _ in 0..4 {
        world.next_epoch();
    }
    let bridge = world.ledger.bridge();
    assert_eq!((bridge.burns, bridge.rotations), (1, 1));
    assert_eq!(world.ledger.status(&answer.id()).unwrap().standing, Standing::Refuted, "and it did not lapse");
    for block in &world.blocks {
        other.execute(block).unwrap();
    }
    assert_eq!(other.snapshot_bytes(), world.ledger.snapshot_bytes());
}

/// A ledger restored from the close of the open epoch, which counted already.
fn restored_at_close(world: &mut World) -> ledger::Ledger {
    world.time_ms += 1_000;
    let events = world.raw_block(vec![]).events;
    assert!(events.contains(&Event::KeyNamed { serial: 1 }), "{events:?}");
    assert_eq!(world.ledger.named_keys().count(), 0);
    assert_ne!(world.ledger.bridge().burns_digest, Digest::ZERO);
    restored(&world.ledger.snapshot_bytes().unwrap(), &world.ledger).unwrap()
}
