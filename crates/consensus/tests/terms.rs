//! Committees that change: nodes that come and go, shares handed on under one key, and what breaks meanwhile.
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod recorder;

#[allow(dead_code, reason = "each test file uses a part of it")]
mod stage;

use consensus::{Seat, SeatKeys, simulation::World};
use recorder::EPOCH_BLOCKS;
use stage::{CHAIN_ID, Network, TERM_BLOCKS, held, key, seats, settings};

#[test]
fn a_fifth_is_seated_after_its_notice_and_signs_and_one_of_the_first_leaves() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 5])),
            // Named in term 0, asked for at its end, seated in term 2.
            1 if network.all_at(&[0, 1, 2, 4], 3 * TERM_BLOCKS) => world.crash(0),
            // Three of four sign, the fifth among them.
            2 if network.all_at(&[1, 2, 4], 5 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(5, plan);
    let settings = settings(1, 5, 0);
    held(&settings, &mut network);
    assert_eq!((network.sat(4, 1), network.sat(4, 2)), (vec![1, 2, 3, 4], vec![1, 2, 3, 5]));
    let certified = network.applications[1].certified();
    assert!(certified >= 5 * TERM_BLOCKS / EPOCH_BLOCKS - 2, "{certified} epochs");
    assert!(network.height(3) >= 3 * TERM_BLOCKS, "who left follows: {}", network.height(3));
}

#[test]
fn a_round_that_fails_leaves_the_committee_and_the_next_round_seats_the_named() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 5])),
            // In term 1 two of four of those who are to be dealt to hear nothing: more shares than may would be revealed.
            1 if network.height(0) >= TERM_BLOCKS - 2 => {
                world.crash(4);
                world.crash(2);
            }
            2 if network.height(0) > 2 * TERM_BLOCKS => {
                world.start(4);
                world.start(2);
            }
            3 if network.all_at(&[0, 1, 2, 3, 4], 5 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(5, plan);
    // Three of the first four go on without the third.
    held(&settings(2, 5, 0), &mut network);
    assert_eq!(network.sat(0, 2), vec![1, 2, 3, 4], "the round of term 1 failed");
    assert_eq!(network.sat(0, 4), vec![1, 2, 3, 5]);
}

#[test]
fn a_node_with_several_seats_votes_with_each_and_hands_each_on() {
    fn plan(network: &mut Network, world: &mut World) {
        let held = |key_of: u8, node: u8| Seat { key: key(key_of), node: key(node) };
        match network.step {
            // The first has three seats of seven.
            0 if network.height(0) >= 3 => {
                let more = [held(21, 1), held(22, 1), Seat::sole(key(5))];
                network.name(1, &[seats(&[1, 2, 3, 4]), more.to_vec()].concat());
            }
            1 if network.all_at(&[0, 1, 2, 3, 4], 4 * TERM_BLOCKS) => world.crash(2),
            // Six of seven seats; without the first there would be three.
            2 if network.all_at(&[0, 1, 3, 4], 6 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(5, plan);
    let mut settings = settings(3, 5, 0);
    settings.keys[0].seats.extend([21, 22].map(|name| SeatKeys { signing_key: [name; 32], share: None }));
    held(&settings, &mut network);
    let seated = network.applications[0].record().seated[&(2 * TERM_BLOCKS + 1)].clone();
    assert_eq!(seated.iter().filter(|seat| seat.node == key(1)).count(), 3);
    let certified = network.applications[3].certified();
    assert!(certified >= 6 * TERM_BLOCKS / EPOCH_BLOCKS - 2, "{certified} epochs");
}

#[test]
fn who_was_away_for_terms_follows_over_all_of_them_and_is_dealt_to_again() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => {
                network.name(0, &seats(&[1, 2, 3, 4]));
                world.crash(3);
            }
            1 if network.height(0) >= 4 * TERM_BLOCKS => world.start(3),
            2 if network.all_at(&[0, 1, 2, 3], 7 * TERM_BLOCKS) => world.crash(0),
            // Three of four sign: the one that was away has a share again.
            3 if network.all_at(&[1, 2, 3], 9 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(4, plan);
    held(&settings(4, 4, 0), &mut network);
    let certified = network.applications[3].certified();
    assert!(certified >= 9 * TERM_BLOCKS / EPOCH_BLOCKS - 2, "{certified} epochs");
}

/// One of four loses its disk and begins from what another says of the term that is under way, with that one's state.
fn lost_disk(network: &mut Network, world: &mut World) {
    let late_in = 4 * TERM_BLOCKS + 7;
    match network.step {
        0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4])),
        1 if network.height(0) >= 2 * TERM_BLOCKS + 3 => world.crash(3),
        2 if network.height(0) >= late_in => network.kept = network.applications[0].record().clone(),
        // Some blocks later: what is newest is beyond the state.
        3 if network.height(0) >= late_in + 4 => {
            network.snapshots[3] = Some(network.kept.clone());
            world.join(3, 0, network.kept.height, &[]);
        }
        // Who began late is needed for every block from here on.
        4 if network.all_at(&[0, 1, 2, 3], late_in + 8) => world.crash(0),
        5 if network.all_at(&[1, 2, 3], 7 * TERM_BLOCKS) => {
            world.crash(3);
            world.start(3);
        }
        6 if network.all_at(&[1, 2, 3], 8 * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

#[test]
fn who_begins_late_in_a_term_votes_in_it_and_is_dealt_to_for_the_next() {
    for seed in 80..83 {
        let mut network = Network::new(4, lost_disk);
        held(&settings(seed, 4, if seed == 82 { 3 } else { 0 }), &mut network);
        // Three of four signed, the late one among them.
        let certified = network.applications[1].certified();
        assert!(certified >= 8 * TERM_BLOCKS / EPOCH_BLOCKS - 2, "{certified} epochs");
    }
}

fn storm(network: &mut Network, world: &mut World) {
    stage::storm(network, world, 1, 6);
}

#[test]
fn in_a_storm_committees_change_without_a_fork_and_nothing_is_lost() {
    for seed in 40..43 {
        let mut network = Network::new(6, storm);
        held(&settings(seed, 6, 3), &mut network);
    }
}

#[test]
fn the_same_seed_gives_the_same_run_over_terms() {
    let once = || held(&settings(44, 6, 3), &mut Network::new(6, storm));
    assert_eq!(once(), once());
}

/// Everybody is killed again and again, so that at some time it is in the middle of each step of a round and of each turn of a term.
fn killed_often(network: &mut Network, world: &mut World) {
    match network.step {
        0 if network.height(0) >= 1 => network.name(0, &seats(&[1, 2, 3, 5])),
        step @ 1..=24 if world.now_ms() > u64::try_from(step).unwrap() * 900 => world.restart_all(),
        25 if network.all_at(&[0, 1, 2, 3, 4], 5 * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

#[test]
fn a_crash_at_any_instant_loses_neither_term_nor_share() {
    let mut network = Network::new(5, killed_often);
    let settings = settings(50, 5, 0);
    held(&settings, &mut network);
    let seated = (1..6).any(|term| network.sat(0, term) == [1, 2, 3, 5]);
    assert!(seated, "the named are seated in the end");
    let certified = network.applications[0].certified();
    assert!(certified >= 5 * TERM_BLOCKS / EPOCH_BLOCKS - 2, "{certified} epochs");
}

#[test]
fn a_traitor_that_votes_twice_is_shown_with_its_term_and_stops_none() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4, 5])),
            1 if network.height(0) >= TERM_BLOCKS + 3 => world.betray(2),
            2 if network.all_at(&[0, 1, 3, 4], 4 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(5, plan);
    let settings = settings(60, 5, 0);
    held(&settings, &mut network);
    let reports = network.applications[1].record().misbehaviour.clone();
    assert!(!reports.is_empty(), "nobody noticed");
    for (culprit, bytes) in reports {
        let term = consensus::evidence_term(&bytes).unwrap();
        assert!(term >= 1);
        let seats = network.applications[1].record().seated[&(term * TERM_BLOCKS + 1)].clone();
        let keys: Vec<[u8; 32]> = seats.iter().map(|seat| seat.key).collect();
        assert_eq!((consensus::evidence(CHAIN_ID, &keys, &bytes).unwrap(), culprit), (key(3), key(3)));
    }
}

/// The term that begins while something is broken.
const BROKEN: u64 = 3;

/// Within so much a term begins whose first leader does nothing: it would lead the first four views, for a second each.
const BEGINS_WITHIN_MS: u64 = 20_000;

/// Who leads the first views of that term, and the others: by their places among four nodes with a seat each.
fn leader_and_others() -> (usize, [usize; 3]) {
    let mut sitting: [usize; 4] = [0, 1, 2, 3];
    sitting.sort_by_key(|at| key(u8::try_from(at + 1).unwrap()));
    sitting.rotate_left(usize::try_from(BROKEN).unwrap() % 4);
    let [leader, others @ ..] = sitting;
    (leader, others)
}

/// What is done to the first leader of a term before it begins; with or without it the term begins, and the next ones do.
fn first_leader_falls(network: &mut Network, world: &mut World, falls_at: u64, fall: fn(&mut World, usize)) {
    let (leader, others) = leader_and_others();
    match network.step {
        0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4])),
        1 if network.all_at(&[0, 1, 2, 3], falls_at) => fall(world, leader),
        2 if network.all_at(&others, BROKEN * TERM_BLOCKS - 1) => network.kill_at_ms = world.now_ms(),
        3 if network.all_at(&others, BROKEN * TERM_BLOCKS + 1) => {
            let took_ms = world.now_ms() - network.kill_at_ms;
            assert!(took_ms < BEGINS_WITHIN_MS, "the term began after {took_ms} ms");
        }
        // All turns of the term, those of who does nothing among them.
        4 if network.all_at(&others, (BROKEN + 1) * TERM_BLOCKS + 1) => world.start(leader),
        5 if network.all_at(&[0, 1, 2, 3], (BROKEN + 3) * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

fn first_leader_is_dead(network: &mut Network, world: &mut World) {
    first_leader_falls(network, world, BROKEN * TERM_BLOCKS - 2, World::crash);
}

#[test]
fn a_term_whose_first_leader_is_dead_begins_without_it() {
    for seed in 90..92 {
        let mut network = Network::new(4, first_leader_is_dead);
        held(&settings(seed, 4, if seed == 91 { 3 } else { 0 }), &mut network);
    }
}

/// It votes in time for the term, so that nobody takes it for dead.
fn first_leader_is_silent(network: &mut Network, world: &mut World) {
    first_leader_falls(network, world, BROKEN * TERM_BLOCKS - 12, |world, leader| {
        world.silence(leader);
        world.start(leader);
    });
}

#[test]
fn a_term_whose_first_leader_votes_and_never_proposes_begins_without_its_blocks() {
    for seed in 92..94 {
        let mut network = Network::new(4, first_leader_is_silent);
        held(&settings(seed, 4, if seed == 93 { 3 } else { 0 }), &mut network);
    }
}

/// Votes of one come after the leader's timeout as a term begins, and as another one begins there are two halves.
fn late_and_halved(network: &mut Network, world: &mut World) {
    let everybody = [0, 1, 2, 3];
    let slow = usize::try_from(network.kill_at_ms % 4).unwrap();
    let quick: Vec<usize> = everybody.into_iter().filter(|at| *at != slow).collect();
    let pairs = |of: [usize; 2], with: [usize; 2]| of.into_iter().flat_map(move |one| with.map(|other| (one, other)));
    match network.step {
        0 if network.height(0) >= 3 => {
            network.name(0, &seats(&[1, 2, 3, 4]));
            network.kill_at_ms = world.random() % 4;
        }
        1 if network.height(0) >= BROKEN * TERM_BLOCKS - 3 => {
            quick.iter().for_each(|at| world.slow(*at, slow, 1_500));
        }
        2 if network.all_at(&quick, BROKEN * TERM_BLOCKS + 4) => {
            quick.iter().for_each(|at| world.mend(*at, slow));
        }
        3 if network.height(0) >= (BROKEN + 1) * TERM_BLOCKS - 1 => {
            pairs([0, 1], [2, 3]).for_each(|(one, other)| world.cut(one, other));
            network.kill_at_ms = world.now_ms() + 4_000;
        }
        4 if world.now_ms() >= network.kill_at_ms => {
            pairs([0, 1], [2, 3]).for_each(|(one, other)| world.mend(one, other));
        }
        5 if network.all_at(&everybody, (BROKEN + 3) * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

#[test]
fn a_term_begins_while_votes_come_late_and_while_there_is_no_quorum_and_goes_on() {
    for seed in 95..98 {
        let mut network = Network::new(4, late_and_halved);
        held(&settings(seed, 4, if seed == 97 { 3 } else { 0 }), &mut network);
    }
}

/// Seats over five nodes, of which two have two each: without one of these exactly a quorum is left.
fn seven_seats() -> Vec<Seat> {
    let second = |name: u8| Seat { key: key(20 + name), node: key(name) };
    [seats(&[1, 2, 3, 4, 5]), vec![second(1), second(2)]].concat()
}

/// How many seeds a property is tried with, unless the environment says otherwise.
const LOSS_SEEDS: u64 = 6;

/// One of two that have two seats is killed at a random instant around the boundary into a term, and does not come back.
fn loss_of_two_seats(network: &mut Network, world: &mut World) {
    const TERM: u64 = 3;
    let others = [1, 2, 3, 4];
    match network.step {
        0 if network.height(0) >= 3 => network.name(0, &seven_seats()),
        1 if network.height(0) >= TERM * TERM_BLOCKS - 3 => {
            network.kill_at_ms = world.now_ms() + world.random() % 2_500;
        }
        2 if world.now_ms() >= network.kill_at_ms => world.crash(0),
        3 if network.all_at(&others, (TERM + 3) * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

#[test]
fn with_exactly_a_quorum_left_at_any_instant_around_a_boundary_blocks_go_on() {
    let seeds = std::env::var("OG_TERM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(LOSS_SEEDS);
    for seed in 70..70 + seeds {
        let mut network = Network::new(5, loss_of_two_seats);
        let loss_percent = if seed % 2 == 0 { 0 } else { 3 };
        let mut settings = settings(seed, 5, loss_percent);
        for name in [1u8, 2] {
            settings.keys[usize::from(name) - 1].seats.push(SeatKeys { signing_key: [20 + name; 32], share: None });
        }
        settings.limit_ms = 300_000;
        held(&settings, &mut network);
        let seated = network.applications[1].record().seated[&(2 * TERM_BLOCKS + 1)].len();
        assert_eq!(seated, 7, "seed {seed}");
    }
}
