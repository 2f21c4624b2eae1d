//! What paying adds to a call.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::devnet::Devnet;
use super::figure::{Goal, Outcome, median};
use super::rooms::{benchmark, one_line};
use super::{Area, Bar, Bench, network};
use crate::python::{PAYERS, packages};

const HOW: &str = "crates/payments/benches/overhead.rs: header, offers, signature, reservation, answer's end, charge, response's header; 20,480 \
                   vouchers of 64 channels, each call waiting for the journal; CPU of all threads; median of 5 runs";
const HTTP: &str = "crates/gateway/benches/paid.rs: 32 payers with a channel each, USDC and OPG, 28,800 vouchers signed before, claims meanwhile; median \
                    of 5 runs";
/// What of a file has been written before anything is synced, as the journal has it.
const ROOM_BYTES: usize = 256 << 10;
const RECORD_BYTES: usize = 512;

pub static AREA: Area = Area {
    name: "payments",
    build: network::build,
    about: || "the room itself and a devnet, in release builds".to_owned(),
    bars: &[
        Bar { name: "a paid call's overhead, mean CPU", goal: Goal::AtMost(100.0, "us"), measure: mean },
        Bar { name: "a paid call's overhead, p99", goal: Goal::AtMost(1_000.0, "us"), measure: p99 },
        Bar { name: "paid calls, one core, in process", goal: Goal::AtLeast(10_000.0, "a second"), measure: rate },
        Bar { name: "a paid call's waits for the disk's sync", goal: Goal::Told("us"), measure: sync_waits },
        Bar {
            name: "paid calls, HTTP, two cores of gateway CPU",
            goal: Goal::AtLeast(5_000.0, "a second"),
            measure: http,
        },
        Bar { name: "paid calls, HTTP, by the clock", goal: Goal::Told("a second"), measure: http_by_the_clock },
        Bar { name: "a paid call's CPU, HTTP's part", goal: Goal::Told("us"), measure: http_part },
        Bar { name: "first byte, paid after unpaid", goal: Goal::AtMost(2.0, "ms"), measure: first_byte },
        Bar { name: "gas a call in a channel of 1,000", goal: Goal::AtMost(0.01, "of exact"), measure: gas },
    ],
};

fn mean(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(overhead(bench, "mean_cpu_us ")?, HOW))
}

fn p99(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(overhead(bench, "p99_us ")?, format!("{HOW}; without the waits")))
}

fn rate(bench: &mut Bench<'_>) -> Result<Outcome> {
    Ok(Outcome::of(overhead(bench, "calls_per_cpu_second ")?, HOW))
}

/// What the other figures of the room are without.
fn sync_waits(bench: &mut Bench<'_>) -> Result<Outcome> {
    let how = "crates/payments/benches/overhead.rs: one caller alone, median of both waits together: before the first byte, and before the last event";
    Ok(Outcome::of(overhead(bench, "sync_wait_us_p50 ")?, how))
}

fn http(bench: &mut Bench<'_>) -> Result<Outcome> {
    let how = "twice the calls for each second of CPU of the gateway's own threads; callers and workers are other machines' and not counted";
    Ok(Outcome::of(paid(bench, "calls_per_second_on_two_cores ")?, format!("{HTTP}; {how}")))
}

fn http_by_the_clock(bench: &mut Bench<'_>) -> Result<Outcome> {
    let how = "callers, stub worker, ledger and chain on the same cores";
    Ok(Outcome::of(paid(bench, "wall_calls_per_second ")?, format!("{HTTP}; {how}")))
}

/// HTTP, routing, receipt and outbox: all that a gateway does for a paid call beside what the room does.
fn http_part(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (all, own) = (paid(bench, "cpu_us_per_call ")?, overhead(bench, "mean_cpu_us ")?);
    Ok(Outcome::of(all - own, format!("{all:.1} us of the gateway's CPU a call, less {own:.1} us of the room's")))
}

fn overhead(bench: &Bench<'_>, key: &str) -> Result<f64> {
    typical(bench, "payments", "overhead", key)
}

fn paid(bench: &Bench<'_>, key: &str) -> Result<f64> {
    typical(bench, "gateway", "paid", key)
}

/// The median of some runs of a few seconds each.
fn typical(bench: &Bench<'_>, room: &str, name: &str, key: &str) -> Result<f64> {
    let run = |_| benchmark(bench.workspace, room, name, key);
    let runs: Vec<f64> = (0..bench.count(5, 1)).map(run).collect::<Result<_>>()?;
    median(runs).with_context(|| format!("no run of {name}"))
}

/// The same streams from a devnet that is paid by vouchers and one that is not, in turns; the disk's sync is told apart.
fn first_byte(bench: &mut Bench<'_>) -> Result<Outcome> {
    let free = Devnet::start(bench.workspace, &std::env::temp_dir(), NODES)?;
    let told = channel(bench, free.gateway()?, bench.count(400, 30))?;
    let (paid, unpaid, sync) = (number(&told, "paidMs")?, number(&told, "freeMs")?, sync_ms(bench)?);
    let (paid_p99, unpaid_p99, asked) =
        (number(&told, "paidMsP99")?, number(&told, "freeMsP99")?, number(&told, "askedMs")?);
    let note = format!(
        "npm's client on loopback, medians: paid {paid:.2} ms (p99 {paid_p99:.2}), unpaid {unpaid:.2} ms (p99 {unpaid_p99:.2}), less one sync of \
         {sync:.2} ms; the 402 before it, which is not in it, {asked:.2} ms"
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
    let paid = Devnet::start(bench.workspace, &std::env::temp_dir(), &[NODES, &["--paid-on", "base"]].concat())?;
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

/// What the disk of the devnets takes to make a small record durable, in a file that has room for it: as the journal's syncs.
fn sync_ms(bench: &Bench<'_>) -> Result<f64> {
    let path = std::env::temp_dir().join(format!("og-sync-{}", std::process::id()));
    fs::write(&path, vec![0_u8; ROOM_BYTES]).context("failed to make a file")?;
    let file = fs::File::options().write(true).open(&path).context("failed to open a file")?;
    file.sync_all().context("failed to sync a file")?;
    let mut times = Vec::new();
    for (_, offset) in (0..bench.count(200, 20)).zip((0..ROOM_BYTES as u64).step_by(RECORD_BYTES)) {
        let began = Instant::now();
        file.write_all_at(&[1; RECORD_BYTES], offset)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    fs::remove_file(&path).context("failed to remove a file")?;
    median(times).context("nothing was measured")
}
