//! When epochs close, and what their records commit to.

use crypto::{
    history::History,
    merkle::{self, SumNode},
};
use ledger::{Block, Rules};
use protocol::{EpochRecord, Noun as _, service::VerdictRecord};

use crate::world::{AUDITOR, START_MS, VALIDATORS, WORKER, World, challenge, public, report, vote};

/// A block at so many milliseconds after the genesis.
fn block_at(world: &mut World, after_ms: u64) -> Option<EpochRecord> {
    world.time_ms = START_MS + after_ms;
    world.raw_block(vec![]).closed
}

#[test]
fn an_epoch_closes_before_the_first_block_of_the_next_second() {
    let mut world = World::new();
    assert_eq!(block_at(&mut world, 0), None);
    assert_eq!(block_at(&mut world, 999), None);
    let zero = block_at(&mut world, 1_000).unwrap();
    assert_eq!((zero.epoch, zero.first_height, zero.last_height), (0, 0, 2));
    assert_eq!(zero.time_ms, START_MS + 999);
    assert_eq!(block_at(&mut world, 1_500), None);
    let one = block_at(&mut world, 2_400).unwrap();
    assert_eq!((one.epoch, one.first_height, one.last_height), (1, 3, 4));
    let two = block_at(&mut world, 3_000).unwrap();
    assert_eq!((two.first_height, two.last_height), (5, 5), "epochs lie on a grid and do not drift");
}

#[test]
fn the_genesis_is_the_first_block_of_epoch_zero() {
    let mut world = World::new();
    let zero = block_at(&mut world, 5_000).unwrap();
    assert_eq!((zero.epoch, zero.first_height, zero.last_height, zero.time_ms), (0, 0, 0, START_MS));
    assert_eq!(world.ledger.open_epoch(), 1);
}

#[test]
fn skipped_seconds_make_no_epochs_and_do_not_use_up_the_challenge_window() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    block_at(&mut world, 3_600_000).unwrap();
    assert_eq!(world.ledger.open_epoch(), 1);
    world.send(AUDITOR, challenge(&answer, true)).unwrap();
    assert_eq!(block_at(&mut world, 3_600_999), None);
    assert_eq!(block_at(&mut world, 3_601_000).unwrap().epoch, 1);
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut world = World::new();
    block_at(&mut world, 2_000).unwrap();
    assert_eq!(block_at(&mut world, 0), None);
    assert_eq!(world.ledger.time_ms(), START_MS + 2_000);
    assert_eq!(block_at(&mut world, 2_999), None);
    assert_eq!(block_at(&mut world, 3_000).unwrap().time_ms, START_MS + 2_999);
}

#[test]
fn a_block_from_the_end_of_time_closes_one_epoch_and_breaks_nothing() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    let block = Block { height: 2, time_ms: u64::MAX, proposer: public(VALIDATORS[0]), transactions: vec![] };
    assert_eq!(world.ledger.execute(&block).unwrap().unwrap().closed.unwrap().epoch, 0);
    let block = Block { height: 3, time_ms: 0, proposer: public(VALIDATORS[0]), transactions: vec![] };
    world.ledger.execute(&block).unwrap().unwrap();
    assert_eq!(world.ledger.time_ms(), u64::MAX);
    assert!(world.ledger.open_epoch() <= 2, "the challenge window cannot be rushed");
    assert!(world.ledger.status(&answer.id()).is_some());
}

#[test]
fn a_record_commits_to_receipts_verdicts_and_all_earlier_epochs() {
    let mut world = World::new();
    let answers = [0; 5].map(|_| world.anchored(WORKER));
    world.send(AUDITOR, report(&answers[1])).unwrap();
    world.send(AUDITOR, challenge(&answers[3], true)).unwrap();
    VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(&answers[3], true)).unwrap());
    let record = world.next_epoch();
    let leaf = |answer: &crate::world::Answer| SumNode::leaf(&answer.id(), answer.signed.receipt.charge);
    let root = merkle::root(&answers.each_ref().map(leaf)).unwrap();
    assert_eq!((record.receipts_root, record.receipts_count, record.receipts_sum), (root.digest, 5, root.sum));
    assert_eq!(root.sum, 10);
    let verdict = |answer: &crate::world::Answer, standing| VerdictRecord { receipt: answer.id(), standing, epoch: 0 };
    let verdicts =
        [verdict(&answers[1], protocol::Standing::Audited), verdict(&answers[3], protocol::Standing::Refuted)];
    assert_eq!(world.ledger.epoch_verdicts(0).unwrap(), verdicts);
    let root = merkle::root(&verdicts.map(|verdict| SumNode::leaf(&verdict.digest(), 0))).unwrap();
    assert_eq!(record.verdicts_root, root.digest);
    assert_eq!(record.challenge_window, 15);

    let mut history = History::default();
    assert_eq!(record.history_root, history.root());
    for epoch in 0..20 {
        history.append(&world.ledger.epoch(epoch).unwrap().digest());
        assert_eq!(world.next_epoch().history_root, history.root());
    }
    assert_eq!(world.ledger.epoch(21), None);
}

#[test]
fn an_idle_epoch_changes_nothing_but_where_the_evm_stands() {
    let mut world = World::new();
    let before = world.next_epoch();
    let accounts = world.ledger.evm().world.content().unwrap().accounts;
    let after = world.next_epoch();
    assert_eq!(world.ledger.evm().world.content().unwrap().accounts, accounts);
    assert_ne!(before.state_root, after.state_root, "each block has a hash of its own, which the root binds");
    let other = World::with(Rules { challenge_window: 16, ..Rules::default() }).next_epoch();
    assert_ne!(other.state_root, before.state_root, "the rules are part of the state");
}
