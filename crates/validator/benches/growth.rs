//! What a ledger holds in memory and writes to its file as receipts become many: neither may grow with those that came before.
//!
//! One ledger executes blocks of receipts without agreement and writes to a file of its own (`TMPDIR`) as a validator does. `OG_BENCH_RECEIPTS`
//! is how many there are in all, an epoch has 2,000 of them. It stops with an error where the second half of the run wrote or held
//! half as much again as the first, per epoch.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at what it did not expect, and tells"
)]

#[path = "../src/story.rs"]
mod story;

use std::time::Instant;

use blocks::{StateFile, change};
use ledger::{Base, Block, Cache, Ledger};
use protocol::{Role, SignedReceipt, transaction::BATCH_MAX};
use story::{Chain, START_MS, genesis, key, posted};

const AN_EPOCH: u64 = 2_000;
/// Epochs between two writes.
const EVERY: u64 = 10;
const CACHE_BYTES: usize = 48 << 20;

/// Memory of this process in KiB, where the system tells.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Writes what is new and rests on it: bytes of the rows.
fn write(file: &StateFile, cache: &Cache, ledger: &mut Ledger) -> usize {
    let snapshot = ledger.snapshot().unwrap();
    let older = Base::new(StateFile::reader(file.moment().unwrap()), cache.clone());
    let rows = snapshot.kept().rows_since(&older).unwrap();
    let bytes: usize = rows.iter().map(|row| row.key.len() + row.value.as_ref().map_or(0, Vec::len)).sum();
    let (world, moment) = file.write(snapshot.world(), rows.into_iter().map(change).collect()).unwrap();
    ledger.rest_on(&world, &snapshot.kept().written_to(Base::new(StateFile::reader(moment), cache.clone())));
    bytes + snapshot.bytes().len()
}

fn main() {
    let wanted: u64 = std::env::var("OG_BENCH_RECEIPTS").map_or(300_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = StateFile::open(&folder.path().join("state.redb"), ledger::TABLES, CACHE_BYTES).unwrap();
    let cache = Cache::new(CACHE_BYTES);
    let mut ledger = Ledger::new(&genesis()).unwrap();
    let (gateway, mut nonce) = (key(Role::Gateway, 0), 0);
    let mut chain = Chain::new(key(Role::Worker, 0), gateway.public_key());
    let (mut told, epochs) = (Vec::new(), wanted.div_ceil(AN_EPOCH));
    for epoch in 1..=epochs {
        let time_ms = START_MS + 1_000 * epoch;
        let receipts: Vec<_> = (0..AN_EPOCH).map(|_| chain.next(time_ms)).collect();
        let transaction = |receipts: &[SignedReceipt]| {
            nonce += 1;
            posted(&gateway, nonce - 1, receipts.to_vec())
        };
        let transactions = receipts.chunks(BATCH_MAX).map(transaction).collect();
        let (height, proposer) = (ledger.height() + 1, key(Role::Validator, 0).public_key());
        let began_at = Instant::now();
        ledger.execute(&Block { height, time_ms, proposer, transactions }).unwrap();
        let took = began_at.elapsed().as_secs_f64();
        if epoch.is_multiple_of(EVERY) {
            let (held, began_at) = (ledger.held_bytes() + ledger.ahead_bytes(), Instant::now());
            let written = write(&file, &cache, &mut ledger);
            let (resident, writing) = (resident_kib(), began_at.elapsed().as_secs_f64());
            println!(
                "receipts {:>9} resident {resident:>7} KiB held {:>6} KiB written {:>7} KiB in {writing:.2} s, {:>6.0} receipts/s executed",
                epoch * AN_EPOCH,
                held >> 10,
                written >> 10,
                AN_EPOCH as f64 / took
            );
            told.push((resident, written as u64, held as u64));
        }
    }
    let (first, second) = told.split_at(told.len() / 2);
    let most = |part: &[(u64, u64, u64)], of: fn(&(u64, u64, u64)) -> u64| part.iter().map(of).max().unwrap_or(0);
    for (what, of) in [
        ("resident", (|told| told.0) as fn(&(u64, u64, u64)) -> u64),
        ("written", |told| told.1),
        ("held", |told| told.2),
    ] {
        let (early, late) = (most(first, of), most(second, of));
        assert!(late <= early + early / 2, "{what}: {early} in the first half, {late} in the second");
    }
    let mine = (0..ledger.open_epoch()).filter_map(|epoch| ledger.epoch(epoch)).map(|record| record.receipts_count);
    println!("receipts {} in closed epochs", mine.sum::<u64>());
}
