//! The file of the state under kills and damage: a restart has one epoch whole, and the rest follows from blocks.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::*;
use crate::story::{blocks, genesis};

const BLOCKS: u64 = 400;

fn begin() -> Ledger {
    Ledger::new(&genesis()).unwrap()
}

/// Executes a block, writes what it closed and rests on it: every so many epochs a snapshot, and the others ahead of it. Whether it
/// was a snapshot.
fn step(file: &StateFile, cache: &ledger::Cache, ledger: &mut Ledger, block: &ledger::Block, every: u64) -> bool {
    let closed = ledger.execute(block).unwrap().and_then(|executed| executed.closed);
    let Some(record) = closed else { return false };
    if !(record.epoch + 1).is_multiple_of(every) {
        let ahead = ledger.ahead();
        let moment = put_ahead(file, &ahead).unwrap();
        ledger.rest_ahead_on(&ahead.written_to(ledger::Base::new(StateFile::reader(moment), cache.clone())));
        return false;
    }
    let snapshot = ledger.snapshot().unwrap();
    let offer = Offer::of(1, record.epoch, &snapshot).unwrap();
    let ((world, own), _) = put(file, cache, &offer, &snapshot).unwrap();
    ledger.rest_on(&world, &own);
    true
}

fn same(one: &Ledger, other: &Ledger) {
    assert_eq!(one.closed_epoch(), other.closed_epoch());
    assert_eq!(one.snapshot_bytes(), other.snapshot_bytes());
    for epoch in 0..one.open_epoch() {
        assert_eq!(one.epoch_receipts(epoch), other.epoch_receipts(epoch), "epoch {epoch}");
    }
}

/// Not a test by itself: what the next one kills.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Ok(path) = std::env::var("LEDGER_FILE_OF_A_CHILD") else { return };
    let every = std::env::var("EPOCHS_A_SNAPSHOT").unwrap().parse().unwrap();
    let (file, cache) = (open(Path::new(&path)).unwrap(), ledger::Cache::new(0));
    let found = read(&file, &cache, &begin()).unwrap();
    let mut ledger = found.map_or_else(begin, |(ledger, ..)| ledger);
    let height = ledger.height();
    for block in blocks(BLOCKS).iter().filter(|block| block.height > height) {
        if step(&file, &cache, &mut ledger, block, every) {
            println!("written {}", block.height);
        }
    }
}

#[test]
fn a_validator_killed_at_any_instant_finds_one_epoch_whole_and_none_lost_that_was_written() {
    killed(1);
}

#[test]
fn a_validator_killed_while_epochs_are_written_ahead_finds_the_snapshot_before() {
    killed(7);
}

/// Kills whoever writes a snapshot every so many epochs.
fn killed(every: u64) {
    let (folder, blocks) = (tempfile::tempdir().unwrap(), blocks(BLOCKS));
    let (mut whole, cache) = (begin(), ledger::Cache::new(1 << 20));
    for trial in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "snapshot::tests::a_child_writes_until_it_is_killed", "--nocapture"])
            .env("LEDGER_FILE_OF_A_CHILD", folder.path())
            .env("EPOCHS_A_SNAPSHOT", every.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = |line: std::io::Result<String>| line.ok()?.split_once("written ")?.1.trim().parse::<u64>().ok();
        let first = lines.by_ref().find_map(&mut told).expect("it writes something");
        thread::sleep(Duration::from_millis(20 + trial * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = lines.filter_map(&mut told).last().unwrap_or(first);
        let file = open(folder.path()).unwrap();
        let (ledger, offer, moment) = read(&file, &cache, &begin()).unwrap().unwrap();
        let is_last = [last, last + every].contains(&(ledger.height() + 1));
        assert!(is_last, "{} on the disk, {last} told", ledger.height());
        assert_eq!(offer.epoch, ledger.closed_epoch().unwrap().epoch);
        // The block that closes an epoch is of the next one: it is executed again.
        let upto = ledger.height() as usize + 1;
        blocks[..upto].iter().for_each(|block| drop(whole.execute(block).unwrap()));
        let mut again = ledger;
        again.execute(&blocks[upto - 1]).unwrap();
        same(&whole, &again);
        drop((again, moment));
        file.close();
    }
    assert!(cache.failure().is_none());
}

#[test]
fn a_ledger_beside_another_tree_or_without_an_epoch_is_set_aside() {
    let (folder, blocks) = (tempfile::tempdir().unwrap(), blocks(9));
    let write = |change: Change| {
        let (file, cache, mut ledger) = (open(folder.path()).unwrap(), ledger::Cache::new(0), begin());
        for block in &blocks {
            step(&file, &cache, &mut ledger, block, 1);
        }
        file.put_beside(vec![change]).unwrap();
        drop(ledger);
        file.close();
        let (mut snapshots, found) = Snapshots::open(Some(folder.path()), &begin()).unwrap();
        let (height, file) = (found.height(), snapshots.file.take().unwrap());
        drop((snapshots, found));
        Arc::into_inner(file).unwrap().close();
        height
    };
    assert_eq!(write(Change::put(LEDGER, "nothing", "that is read")), 8);
    assert_eq!(write(Change::put("ledger-roots", [1], [7; 40])), 0);
    assert_eq!(write(Change::remove("ledger-epochs", 3_u64.to_be_bytes())), 0);
}

#[test]
fn where_the_disk_takes_nothing_the_memory_is_not_filled() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshots, _) = Snapshots::open(Some(folder.path()), &begin()).unwrap();
    snapshots.keep_up(HELD_BYTES_MAX + 1).unwrap();
    snapshots.writing.store(true, Ordering::Release);
    snapshots.beside(|| Err("no space is left".to_owned()));
    let refused = snapshots.keep_up(HELD_BYTES_MAX + 1).unwrap_err();
    assert!(refused.contains("state.redb cannot be written: no space is left; hint:"), "{refused}");
    snapshots.keep_up(HELD_BYTES_MAX).unwrap();
}

#[test]
fn a_writer_that_panics_is_over_and_counts_as_one_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshots, _) = Snapshots::open(Some(folder.path()), &begin()).unwrap();
    snapshots.writing.store(true, Ordering::Release);
    snapshots.beside(|| panic!("a defect"));
    let refused = snapshots.keep_up(HELD_BYTES_MAX + 1).unwrap_err();
    assert!(refused.contains("state.redb cannot be written: its writer panicked"), "{refused}");
    snapshots.writing.store(true, Ordering::Release);
    snapshots.beside(|| Ok(()));
    snapshots.keep_up(HELD_BYTES_MAX + 1).unwrap();
}
