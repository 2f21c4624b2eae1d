//! What the ledger keeps through crashes, partitions and lies, and what a light client pays to be shown it.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Bench;
use super::figure::Outcome;
use super::network::killed;
use super::rooms::benchmark;
use crate::check::cargo;
use crate::stage;

/// Seeds between two notes of how far it is.
const SEEDS_AT_ONCE: u32 = 20;
const KILLS_IN_A_LIFE: u32 = 25;
const GROWN: &str =
    "crates/verify/benches/light_client.rs: a day of epochs, 1,000,000 records, 1,000 receipts in the epoch";

pub fn bundle_bytes(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "verify", "light_client", "bundle_bytes")?, GROWN))
}

pub fn light_client(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "verify", "light_client", "verify_ms_p50")?, GROWN))
}

/// Storms, tempests, treasons and seasons that nobody has seen before. A failing seed is told by the test, and is run again by itself.
pub fn seeds(bench: &mut Bench<'_>) -> Result<Outcome> {
    let wanted = u64::from(bench.count(200, 10));
    let kept = bench.progress().unwrap_or_default();
    let number = |key: &str| kept.get(key).and_then(Value::as_u64).unwrap_or(0);
    let (mut done, mut failed) = (number("done"), number("failed"));
    while done < wanted {
        let more = (wanted - done).min(u64::from(SEEDS_AT_ONCE));
        let mut check = cargo(bench.workspace);
        check.args(["test", "--package", "sim", "--test", "sim", "--", "storms::", "--nocapture"]);
        check.env("OG_SIM_FRESH", more.to_string());
        let outcome = stage::run_and_read(&format!("seeds {done} to {}", done + more), &mut check)?;
        if !outcome.output.contains("storm ") {
            bail!("the simulation did not run");
        }
        (done, failed) = (done + more, failed + u64::from(!outcome.succeeded));
        bench.keep_progress(json!({"done": done, "failed": failed}))?;
    }
    let note = format!(
        "{done} fresh seeds, each as storm, tempest, treason and season: crashes, loss, partitions, restarts, liars, double votes, committees and keys that change"
    );
    Ok(Outcome::of(failed as f64, note))
}

pub fn kills(bench: &mut Bench<'_>) -> Result<Outcome> {
    let wanted = bench.count(500, 25);
    killed(bench, wanted, KILLS_IN_A_LIFE)
}
