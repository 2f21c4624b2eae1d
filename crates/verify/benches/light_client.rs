//! What a light client pays for one receipt of a grown network: bytes of the bundle, and the time to a verdict.
//!
//! The network has a day of epochs behind it, a million records in its state and a thousand receipts in the epoch. Its client pinned
//! the key before the present one, so the bundle carries a rotation.
#![allow(clippy::unwrap_used, reason = "a measurement stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "its figures are its purpose")]

#[path = "../tests/network/mod.rs"]
mod network;

use std::time::Instant;

use network::Scenario;
use protocol::{Canonical as _, List};

const TURNS: usize = 300;

fn main() {
    let scenario = Scenario {
        as_of_epoch: 86_400,
        receipts_in_epoch: 1_000,
        index: 617,
        other_records: 1_000_000,
        with_opening: false,
        rotations: 3,
        ..Scenario::default()
    };
    let (mut bundle, trust) = (scenario.bundle(), scenario.trust_in(2));
    let needed = bundle.rotations.iter().filter(|certified| certified.rotation.serial > 2);
    bundle.rotations = List::new(needed.cloned().collect()).unwrap();
    let (bytes, trust) = (bundle.short().unwrap().encode(), trust.encode());
    let mut times: Vec<f64> = (0..TURNS).map(|_| timed(&bytes, &trust)).collect();
    times.sort_by(f64::total_cmp);
    println!("bundle_bytes {}", bytes.len());
    println!("verify_ms_p50 {:.3}", times[TURNS / 2]);
    println!("verify_ms_p99 {:.3}", times[TURNS * 99 / 100]);
}

/// Milliseconds from bytes to a verdict, which must be that the receipt holds.
fn timed(bytes: &[u8], trust: &[u8]) -> f64 {
    let began_at = Instant::now();
    let report = verify::verify_bytes(bytes, trust);
    let took = began_at.elapsed().as_secs_f64() * 1e3;
    assert_eq!(report.verdict.exit_code(), 0, "{report:?}");
    took
}
