//! What the rooms' own tests and benchmarks tell of the engine, and what nothing measures yet.

use anyhow::Result;

use super::Bench;
use super::figure::Outcome;
use super::rooms::benchmark;
use crate::check::cargo;
use crate::emulated::{self, Missing};
use crate::stage;

/// Every family of decoders, from both kinds of file, against torch: the test holds every cosine above 0.99999.
pub fn families(bench: &mut Bench<'_>) -> Result<Outcome> {
    let mut command = cargo(bench.workspace);
    command.args(["test", "--quiet", "--package", "graph", "--test", "architectures"]);
    let failed = !stage::run("families of decoders", &mut command)?;
    Ok(Outcome::of(
        f64::from(u8::from(failed)),
        "crates/graph/tests/architectures.rs: every cosine to torch above 0.99999",
    ))
}

/// Digests over all kernels and whole models, on emulated CPUs. One that cannot be emulated here has shown nothing, so it counts.
pub fn same_bits(bench: &mut Bench<'_>) -> Result<Outcome> {
    let tally = emulated::run(bench.workspace, Missing::Fails)?;
    let all = tally.passed + tally.failed;
    let note = format!(
        "digests equal on {} of {all} emulated CPUs; a missing emulator counts (Debian: qemu-user, gcc-aarch64-linux-gnu)",
        tally.passed
    );
    Ok(Outcome::of(tally.failed as f64, note))
}

/// Both from the same open loop: requests leave by a timetable, latencies count from when they were due.
pub fn gateway_overhead(bench: &mut Bench<'_>) -> Result<Outcome> {
    let figure = benchmark(bench.workspace, "gateway", "load", "overhead_ms_p50")?;
    Ok(Outcome::of(figure, "crates/gateway/benches/load.rs: less the stub asked directly, less the disk"))
}

pub fn gateway_under_load(bench: &mut Bench<'_>) -> Result<Outcome> {
    let figure = benchmark(bench.workspace, "gateway", "load", "overhead_ms_p99")?;
    Ok(Outcome::of(figure, "crates/gateway/benches/load.rs: less the stub's median asked directly, less the disk"))
}
