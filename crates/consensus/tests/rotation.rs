//! The network's key is replaced, term after term, by one that the key before has signed for, whatever breaks meanwhile
//! (`specs/rotation.md`).
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod recorder;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod stage;

use consensus::{
    BeginningError, MemberError,
    simulation::{Settings, SimulationError, World, run},
};
use recorder::EPOCH_BLOCKS;
use stage::{Network, TERM_BLOCKS, held, seats, settings};

/// So few that the next key is due whenever one begins.
const KEY_BLOCKS: u64 = TERM_BLOCKS;

/// Which key signed in each of the first so many terms.
fn signed(network: &Network, settings: &Settings, terms: u64) -> Vec<u64> {
    let signed = network.signed(settings);
    (0..terms).map(|term| signed[&term]).collect()
}

fn certified(network: &Network, validator: usize, terms: u64) {
    let certified = network.applications[validator].certified();
    assert!(certified >= terms * TERM_BLOCKS / EPOCH_BLOCKS - 2, "{certified} epochs at {validator}");
}

#[test]
fn keys_follow_each_other_while_committees_change_and_each_is_signed_for_by_the_one_before() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4])),
            1 if network.height(0) >= 2 * TERM_BLOCKS + 3 => network.name(1, &seats(&[1, 2, 3, 5])),
            2 if network.all_at(&[0, 1, 2, 4], 5 * TERM_BLOCKS) => world.crash(0),
            // Three of four sign with keys that nobody had when the network began, the fifth among them.
            3 if network.all_at(&[1, 2, 3, 4], 9 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(5, plan).rotate_after(KEY_BLOCKS);
    let settings = settings(1, 5, 0);
    held(&settings, &mut network);
    // Those who sit first are named in term 0 for term 2: there is nobody to make a key before term 1.
    assert_eq!(signed(&network, &settings, 9), [0, 0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(network.sat(4, 4), [1, 2, 3, 5]);
    [1, 2, 3, 4].iter().for_each(|validator| certified(&network, *validator, 9));
}

#[test]
fn a_key_signs_until_it_is_old_by_the_applications_clock() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4])),
            1 if network.all_at(&[0, 1, 2, 3], 9 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    // Old in term 3: those who are named as it ends make the next in term 4, and that is not old before term 7.
    let mut network = Network::new(4, plan).rotate_after(3 * TERM_BLOCKS + 1);
    let settings = settings(4, 4, 0);
    held(&settings, &mut network);
    assert_eq!(signed(&network, &settings, 9), [0, 0, 0, 0, 0, 0, 1, 1, 1]);
}

#[test]
fn a_silent_seat_delays_nothing_and_follows_when_it_is_back() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => {
                network.name(0, &seats(&[1, 2, 3, 4]));
                world.crash(3);
            }
            1 if network.all_at(&[0, 1, 2], 5 * TERM_BLOCKS + 7) => world.start(3),
            // Dealt to again, with whatever key there is now.
            2 if network.all_at(&[0, 1, 2, 3], 8 * TERM_BLOCKS) => world.crash(0),
            3 if network.all_at(&[1, 2, 3], 10 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(4, plan).rotate_after(KEY_BLOCKS);
    let settings = settings(2, 4, 0);
    held(&settings, &mut network);
    assert_eq!(signed(&network, &settings, 9), [0, 0, 0, 1, 1, 2, 2, 3, 3]);
    certified(&network, 3, 10);
}

#[test]
fn a_key_that_could_not_be_made_is_made_a_term_later_and_the_old_one_goes_on() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 5])),
            // In term 1 two of those who are to make the key hear and say nothing.
            1 if network.height(0) >= TERM_BLOCKS - 2 => [4, 2].into_iter().for_each(|at| world.crash(at)),
            2 if network.height(0) > 2 * TERM_BLOCKS => [4, 2].into_iter().for_each(|at| world.start(at)),
            3 if network.all_at(&[0, 1, 2, 3, 4], 7 * TERM_BLOCKS) => world.finish(),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(5, plan).rotate_after(KEY_BLOCKS);
    let settings = settings(3, 5, 0);
    held(&settings, &mut network);
    let signed = signed(&network, &settings, 7);
    assert_eq!(signed[..4], [0; 4], "{signed:?}");
    assert!(signed[6] > 0, "{signed:?}");
}

/// Everybody is killed again and again, so that at some time it is in the middle of each step of a rotation.
fn killed_often(network: &mut Network, world: &mut World) {
    match network.step {
        0 if network.height(0) >= 1 => network.name(0, &seats(&[1, 2, 3, 5])),
        step @ 1..=40 if world.now_ms() > u64::try_from(step).unwrap() * 900 => world.restart_all(),
        41 if network.all_at(&[0, 1, 2, 3, 4], 8 * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

#[test]
fn a_crash_at_any_instant_loses_no_key() {
    for seed in 10..12 {
        let mut network = Network::new(5, killed_often).rotate_after(KEY_BLOCKS);
        let settings = settings(seed, 5, 0);
        held(&settings, &mut network);
        let newest = network.signed(&settings)[&7];
        assert!(newest >= 1, "seed {seed}: no rotation came through");
        [0, 4].iter().for_each(|validator| certified(&network, *validator, 8));
    }
}

/// One is killed at a random instant of the three terms in which a key is made, signed for, and begins, and starts again at another.
fn killed_once(network: &mut Network, world: &mut World) {
    match network.step {
        0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4])),
        1 if network.height(0) >= TERM_BLOCKS => {
            network.kill_at_ms = world.now_ms() + world.random() % 12_000;
        }
        2 if world.now_ms() >= network.kill_at_ms => {
            world.crash(2);
            network.kill_at_ms = world.now_ms() + 1 + world.random() % 2_000;
        }
        3 if world.now_ms() >= network.kill_at_ms => world.start(2),
        4 if network.all_at(&[0, 1, 2, 3], 6 * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

#[test]
fn one_that_dies_in_any_step_of_a_rotation_is_back_with_its_shares_or_without_harm() {
    for seed in 20..24 {
        let mut network = Network::new(4, killed_once).rotate_after(KEY_BLOCKS);
        let settings = settings(seed, 4, if seed % 2 == 0 { 0 } else { 3 });
        held(&settings, &mut network);
        let signed = network.signed(&settings);
        assert!(signed[&5] >= 1, "seed {seed}: {signed:?}");
        certified(&network, 2, 6);
    }
}

/// One of four loses its disk and begins after a rotation, from what another says of the term that is under way.
fn lost_disk(network: &mut Network, world: &mut World) {
    let late_in = 5 * TERM_BLOCKS + 7;
    match network.step {
        0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4])),
        1 if network.height(0) >= 2 * TERM_BLOCKS + 3 => world.crash(3),
        2 if network.height(0) >= late_in => network.kept = network.applications[0].record().clone(),
        3 if network.height(0) >= late_in + 4 => {
            network.snapshots[3] = Some(network.kept.clone());
            // Agreement's own state says which keys there were, from the second on.
            let keys: Vec<[u8; 96]> = network.kept.keys.iter().map(|next| next.key).collect();
            world.join(3, 0, network.kept.height, &keys);
        }
        4 if network.all_at(&[0, 1, 2, 3], late_in + 8) => world.crash(0),
        5 if network.all_at(&[1, 2, 3], 8 * TERM_BLOCKS) => {
            world.crash(3);
            world.start(3);
        }
        6 if network.all_at(&[1, 2, 3], 9 * TERM_BLOCKS) => world.finish(),
        _ => return,
    }
    network.step += 1;
}

#[test]
fn who_begins_late_under_a_later_key_votes_and_is_dealt_to() {
    let mut network = Network::new(4, lost_disk).rotate_after(KEY_BLOCKS);
    let settings = settings(30, 4, 0);
    held(&settings, &mut network);
    assert!(network.signed(&settings)[&8] >= 3);
    // Three of four signed, the late one among them.
    certified(&network, 1, 9);
}

#[test]
fn who_begins_late_and_knows_the_first_key_only_is_not_misled_by_a_record_under_another() {
    fn plan(network: &mut Network, world: &mut World) {
        match network.step {
            0 if network.height(0) >= 3 => network.name(0, &seats(&[1, 2, 3, 4])),
            1 if network.height(0) >= 4 * TERM_BLOCKS + 7 => world.crash(3),
            2 => world.join(3, 0, network.height(0), &[]),
            _ => return,
        }
        network.step += 1;
    }
    let mut network = Network::new(4, plan).rotate_after(KEY_BLOCKS);
    let refused = run(&settings(31, 4, 0), &mut network).unwrap_err();
    let is_key = matches!(refused, SimulationError::Member(MemberError::Beginning(BeginningError::Key { term: 4 })),);
    assert!(is_key, "{refused}");
}

/// Committees and keys change all along, and everything breaks once there is a key to lose.
fn storm(network: &mut Network, world: &mut World) {
    stage::storm(network, world, 2, 9);
}

#[test]
fn in_a_storm_keys_change_without_a_fork_and_nothing_is_lost() {
    for seed in 40..43 {
        let mut network = Network::new(6, storm).rotate_after(KEY_BLOCKS);
        let settings = settings(seed, 6, 3);
        held(&settings, &mut network);
        let signed = network.signed(&settings);
        assert!(signed[&8] >= 1, "seed {seed}: {signed:?}");
    }
}
