//! What paying adds to a call.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::devnet::Devnet;
use super::figure::{Goal, Outcome, median};
use super::rooms::{benchmark, one_line};
use super::{Area, Bar, Bench, network};
use crate::python::{PAYERS, packages};

const HOW: &str =
    "crates/payments/benches/overhead.rs: header, signature, reservation, charge, journal; 20,000 vouchers";

pub static AREA: Area = Area {
    name: "payments",
    build: network::build,
    about: || "the room itself and a devnet, in release builds".to_owned(),
    bars: &[
        Bar { name: "a paid call's overhead, mean CPU", goal: Goal::AtMost(100.0, "us"), measure: mean },
        Bar { name: "a paid call's overhead, p99", goal: Goal::AtMost(1_000.0, "us"), measure: p99 },
        Bar { name: "paid calls, one core, in process", goal: Goal::AtLeast(10_000.0, "a second"), measure: rate },
        Bar { name: "paid calls through HTTP, two cores", goal: Goal::AtLeast(5_000.0, "a second"), measure: http },
        Bar { name: "first byte, paid after unpaid", goal: Goal::AtMost(2.0, "ms"), measure: first_byte },
        Bar { name: "gas a call in a channel of 1,000", goal: Goal::AtMost(0.01, "of exact"), measure: gas },
    ],
};

fn mean(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "payments", "overhead", "mean_cpu_us ")?, HOW))
}

fn p99(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "payments", "overhead", "p99_us ")?, HOW))
}

fn rate(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(benchmark(bench.workspace, "payments", "overhead", "calls_per_cpu_second ")?, HOW))
}

fn http(bench: &mut Bench<'_>) -> Result<Outcome> {
    let how = "crates/gateway/benches/paid.rs: 32 callers with a channel each, 28,800 vouchers signed before; CPU of the gateway's own threads";
    Ok(Outcome::of(benchmark(bench.workspace, "gateway", "paid", "calls_per_second_on_two_cores ")?, how))
}

/// The same streams from a devnet that is paid by vouchers and one that is not, in turns; the disk's sync is told apart.
fn first_byte(bench: &mut Bench<'_>) -> Result<Outcome> {
    let free = Devnet::start(bench.workspace, &std::env::temp_dir(), NODES)?;
    let told = channel(bench, free.gateway()?, bench.count(400, 30))?;
    let (paid, unpaid, sync) = (number(&told, "paidMs")?, number(&told, "freeMs")?, sync_ms(bench)?);
    let note = format!(
        "npm's client on loopback, medians: paid {paid:.2} ms, unpaid {unpaid:.2} ms, less one sync of {sync:.2} ms"
    );
    Ok(Outcome::of(paid - unpaid - sync, note))
}

/// All that went to x402's contract for a channel, deposit and claims and sweeps, beside one settlement by `exact`.
fn gas(bench: &mut Bench<'_>) -> Result<Outcome> {
    let told = channel(bench, "-", bench.count(1_000, 40))?;
    let (all, exact, calls) = (number(&told, "channelGas")?, number(&told, "exactGas")?, number(&told, "calls")?);
    let transactions = number(&told, "transactions")?;
    let note = format!("{calls} calls, {transactions} transactions, {all} gas in all; one exact settlement {exact}");
    Ok(Outcome::of(all / calls / exact, note))
}

const NODES: &[&str] = &["--validators", "1", "--workers", "1"];

/// Runs npm's client over a channel of its own with a paid devnet.
fn channel(bench: &Bench<'_>, free: &str, calls: u32) -> Result<Value> {
    let folder = packages(bench.workspace, &PAYERS)?;
    let script = folder.join("channel.mjs");
    fs::copy(bench.workspace.root().join("tests/payers/channel.mjs"), &script).context("failed to copy the client")?;
    let paid = Devnet::start(bench.workspace, &std::env::temp_dir(), &[NODES, &["--paid"]].concat())?;
    let text = |path: &str| paid.at(path)?.as_str().map(str::to_owned).with_context(|| format!("{path} is no text"));
    let mut command = Command::new("node");
    command.arg(script).arg(paid.gateway()?).arg(free).arg(text("/base/url")?).arg(text("/base/keys/0/secret")?);
    let output = command.arg(calls.to_string()).output().context("failed to start node")?;
    if !output.status.success() {
        bail!("the client failed: {}", one_line(&output.stderr, &[]));
    }
    serde_json::from_slice(&output.stdout).context("the client's answer is no JSON")
}

fn number(told: &Value, name: &str) -> Result<f64> {
    told.get(name).and_then(Value::as_f64).with_context(|| format!("the client told no `{name}`"))
}

/// What the disk of the devnets takes to make a small record durable.
fn sync_ms(bench: &Bench<'_>) -> Result<f64> {
    let path = std::env::temp_dir().join(format!("og-sync-{}", std::process::id()));
    let mut file = fs::File::create(&path).context("failed to make a file")?;
    let mut times = Vec::new();
    for _ in 0..bench.count(200, 20) {
        let began = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    fs::remove_file(&path).context("failed to remove a file")?;
    median(times).context("nothing was measured")
}
