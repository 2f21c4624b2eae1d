//! The walking network: how soon it is up, answers, proves and punishes, and what it loses when it is killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::devnet::{Devnet, binary, kill, wait_until};
use super::figure::{Goal, Outcome, median};
use super::writing::Writing;
use super::{Area, Bar, Bench, http, rooms};
use crate::check::cargo;
use crate::stage;
use crate::workspace::Workspace;

pub static AREA: Area = Area {
    name: "network",
    build,
    about: String::new,
    bars: &[
        Bar { name: "devnet ready", goal: Goal::AtMost(10.0, "s"), measure: ready },
        Bar { name: "receipt anchored after the first answer", goal: Goal::AtMost(2.0, "s"), measure: anchored },
        Bar { name: "held after the window closes", goal: Goal::AtMost(2.0, "s"), measure: held },
        Bar { name: "finality p50, data in memory", goal: Goal::AtMost(40.0, "ms"), measure: finality_in_memory },
        Bar { name: "finality p50, data on disk", goal: Goal::Told("ms"), measure: finality_on_disk },
        Bar { name: "gateway overhead p50, stub model", goal: Goal::AtMost(1.0, "ms"), measure: gateway_overhead },
        Bar { name: "audit ÷ generation, CPU time", goal: Goal::Told("×"), measure: audit_share },
        Bar { name: "offline verify p50", goal: Goal::AtMost(10.0, "ms"), measure: offline_verify },
        Bar { name: "acknowledged writes lost to kills", goal: Goal::AtMost(0.0, "lost"), measure: kills },
        Bar { name: "lying worker slashed", goal: Goal::AtMost(10.0, "s"), measure: liar_slashed },
        Bar { name: "demo model passes its checker", goal: Goal::AtLeast(90.0, "%"), measure: checker_pass_rate },
    ],
};

/// The one binary, as it is shipped.
pub fn build(workspace: &Workspace) -> Result<bool> {
    stage::run("build", cargo(workspace).args(["build", "--quiet", "--release", "--package", "og"]))
}

/// The devnet's challenge window.
const WINDOW: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);
/// The states of a receipt that an epoch holds.
const ANCHORED: &[&str] = &["anchored", "audited", "proven", "final"];

/// Where files are in memory and on no disk.
pub fn in_memory() -> Result<PathBuf> {
    let memory = PathBuf::from("/dev/shm");
    if !memory.is_dir() {
        bail!("{} is absent, so no data lies in memory\nhint: mount a tmpfs there", memory.display());
    }
    Ok(memory)
}

fn on_disk(bench: &Bench<'_>) -> PathBuf {
    bench.workspace.target().join("bars")
}

fn question(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn ready(bench: &mut Bench<'_>) -> Result<Outcome> {
    let mut times = Vec::new();
    for _ in 0..bench.count(5, 1) {
        times.push(Devnet::start(bench.workspace, &on_disk(bench), &[])?.ready_after.as_secs_f64());
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    Ok(Outcome::of(worst, format!("worst of {} starts on an empty folder", times.len())))
}

/// Anchored as a stranger would have it: a bundle of it can be had, under a certificate.
fn anchored(bench: &mut Bench<'_>) -> Result<Outcome> {
    let devnet = Devnet::start(bench.workspace, &on_disk(bench), &[])?;
    let answer = devnet.chat(&question("What is a receipt?"), 32)?;
    let path = format!("/v1/receipts/{}/bundle", answer.receipt);
    let seen = wait_until(PATIENCE, || Ok(http::get_json(devnet.gateway()?, &path).is_ok()))?;
    let seen = seen.context("the gateway never had the receipt's bundle")?;
    Ok(Outcome::of(seen.duration_since(answer.at).as_secs_f64(), "first answer of a fresh devnet, until its bundle"))
}

fn held(bench: &mut Bench<'_>) -> Result<Outcome> {
    let devnet = Devnet::start(bench.workspace, &on_disk(bench), &[])?;
    let answer = devnet.chat(&question("What is a receipt?"), 32)?;
    let closes = devnet.wait_for_state(&answer.receipt, ANCHORED, PATIENCE)? + WINDOW;
    let trust = devnet.trust()?;
    let held = wait_until(WINDOW + PATIENCE, || {
        Ok(devnet.say(&["receipt", "verify", &answer.receipt, "--trust", trust])?.status == 0)
    })?;
    let held = held.context("`og receipt verify` never exited 0")?;
    Ok(Outcome::of(held.saturating_duration_since(closes).as_secs_f64(), "`og receipt verify` by id, polled"))
}

fn finality_in_memory(bench: &mut Bench<'_>) -> Result<Outcome> {
    finality(bench, &in_memory()?)
}

fn finality_on_disk(bench: &mut Bench<'_>) -> Result<Outcome> {
    finality(bench, &on_disk(bench))
}

/// Each validator times its own blocks, from proposal to finalization; the network's figure is the slowest validator's.
fn finality(bench: &mut Bench<'_>, parent: &Path) -> Result<Outcome> {
    let devnet = Devnet::start(bench.workspace, parent, &[])?;
    std::thread::sleep(Duration::from_secs(bench.count(30, 10).into()));
    let validators = devnet.nodes("validator");
    let mut slowest = None;
    for validator in &validators {
        let url = validator.get("url").and_then(Value::as_str).context("a validator has no `url`")?;
        let status = http::get_json(url, "/status")?;
        let p50 = status.get("finality_ms_p50").and_then(Value::as_f64).context("/status has no `finality_ms_p50`")?;
        slowest = Some(slowest.map_or(p50, |slowest: f64| slowest.max(p50)));
    }
    let figure = slowest.context("the devnet told no validators")?;
    Ok(Outcome::of(figure, format!("slowest of {} validators", validators.len())))
}

/// The gateway's own benchmark, which answers from a stub and keeps its journal in memory.
fn gateway_overhead(bench: &mut Bench<'_>) -> Result<Outcome> {
    let figure = rooms::benchmark(bench.workspace, "gateway", "overhead", "overhead_ms_p50")?;
    Ok(Outcome::of(figure, "crates/gateway/benches/overhead.rs"))
}

/// The engine's own benchmark: 32 tokens of prompt, 128 of answer, one thread.
fn audit_share(bench: &mut Bench<'_>) -> Result<Outcome> {
    let figure = rooms::benchmark(bench.workspace, "engine", "audit", "audit_share")?;
    Ok(Outcome::of(figure, "32-token prompt, 128-token answer; crates/engine/benches/audit.rs"))
}

/// From the start of the process to its end, so that it is what a person waits.
fn offline_verify(bench: &mut Bench<'_>) -> Result<Outcome> {
    let devnet = Devnet::start(bench.workspace, &on_disk(bench), &[])?;
    let answer = devnet.chat(&question("What is a receipt?"), 32)?;
    devnet.wait_for_state(&answer.receipt, ANCHORED, PATIENCE)?;
    let bundle = devnet.export(&answer.receipt)?;
    let mut times = Vec::new();
    for _ in 0..bench.count(200, 20) {
        let started = Instant::now();
        let mut command = Command::new(binary(bench.workspace));
        command.args(["receipt", "verify"]).arg(&bundle).args(["--trust", devnet.trust()?]);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        times.push(milliseconds(started.elapsed()));
        if !matches!(status.code(), Some(0 | 2)) {
            bail!("`og receipt verify` refused an honest bundle");
        }
    }
    let count = times.len();
    Ok(Outcome::of(median(times).context("nothing was verified")?, format!("{count} processes, start to end")))
}

/// Processes are killed one at a time; after each restart every receipt and transfer that was acknowledged must be there.
fn kills(bench: &mut Bench<'_>) -> Result<Outcome> {
    let wanted = bench.count(50, 20);
    killed(bench, wanted, 1)
}

/// So many kills, some in each life of a devnet, which ends with a crash of all of it; resumable. What was acknowledged are receipts by
/// the gateway, and wallets' transfers by a validator each.
pub fn killed(bench: &mut Bench<'_>, wanted: u32, in_a_life: u32) -> Result<Outcome> {
    let writes = rooms::executable(bench.workspace, "og", "writes")?;
    let kept = bench.progress().unwrap_or_default();
    let number = |key: &str| kept.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut all = Life { lost: number("lost"), receipts: number("receipts"), transfers: number("transfers") };
    let mut done = number("done");
    while done < u64::from(wanted) {
        let life = one_life(bench, &writes, done, in_a_life)?;
        done += u64::from(in_a_life);
        all.lost += life.lost;
        all.receipts += life.receipts;
        all.transfers += life.transfers;
        let Life { lost, receipts, transfers } = all;
        bench.keep_progress(json!({"done": done, "lost": lost, "receipts": receipts, "transfers": transfers}))?;
    }
    let note = format!(
        "{done} × kill -9 of validators, workers and gateway; {} receipts and {} transfers acknowledged",
        all.receipts, all.transfers
    );
    Ok(Outcome::of(all.lost as f64, note))
}

/// What a devnet acknowledged between its kills, and what of it was lost.
struct Life {
    lost: u64,
    receipts: u64,
    transfers: u64,
}

fn one_life(bench: &Bench<'_>, writes: &Path, turn: u64, kills: u32) -> Result<Life> {
    let mut devnet = Devnet::start(bench.workspace, &on_disk(bench), &["--processes"])?;
    let writing = Writing::start(writes, &devnet)?;
    let nodes = ["validator", "worker", "gateway"].iter().flat_map(|role| devnet.nodes(role));
    let victims: Vec<String> = nodes.filter_map(|node| Some(node.get("name")?.as_str()?.to_owned())).collect();
    let mut receipts = Vec::new();
    for kill_number in 0..u64::from(kills) {
        let chance = chance(turn + kill_number);
        let victim = usize::try_from(chance).ok().and_then(|chance| victims.get(chance.checked_rem(victims.len())?));
        let victim = victim.context("the devnet named no nodes")?;
        let deadline = Instant::now() + Duration::from_millis(200 + (chance >> 8) % 2_000);
        while Instant::now() < deadline {
            match devnet.chat(&question("What is a validator?"), 8) {
                Ok(answer) => receipts.push(answer.receipt),
                // Honest while nodes are down; of a network that was never hurt it is not.
                Err(error) if kill_number == 0 => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        if let Some(pid) = devnet.pid(victim) {
            kill(pid);
        }
    }
    devnet.crash_and_restart()?;
    let written = writing.end(&devnet)?;
    let lost = receipts.iter().filter(|receipt| devnet.wait_for_state(receipt, ANCHORED, PATIENCE).is_err()).count();
    Ok(Life { lost: lost as u64 + written.lost, receipts: receipts.len() as u64, transfers: written.acknowledged })
}

/// Different on every turn and every run.
fn chance(turn: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(turn)
}

/// Asks until the router has chosen the liar; the time runs from its answer to its stake being cut.
fn liar_slashed(bench: &mut Bench<'_>) -> Result<Outcome> {
    let devnet = Devnet::start(bench.workspace, &on_disk(bench), &["--adversary", "wrong-output"])?;
    let started = Instant::now();
    let mut answers = Vec::new();
    while started.elapsed() < PATIENCE {
        answers.push(devnet.chat(&question("What is a worker?"), 16)?);
        if !is_slashed(&devnet)? {
            continue;
        }
        let slashed = Instant::now();
        let lie = answers
            .iter()
            .find(|answer| devnet.wait_for_state(&answer.receipt, &["refuted"], Duration::from_millis(50)).is_ok());
        let lie = lie.context("a worker was slashed, but no receipt of ours is refuted")?;
        let note = format!("from its first lie (answer {} asked) to the cut of its stake", answers.len());
        return Ok(Outcome::of(slashed.duration_since(lie.at).as_secs_f64(), note));
    }
    bail!("no worker was slashed within {} s", PATIENCE.as_secs())
}

fn is_slashed(devnet: &Devnet) -> Result<bool> {
    let nodes = devnet.say(&["node", "list"])?.json;
    let nodes = nodes.as_array().context("`og node list` is no list")?;
    Ok(nodes.iter().any(|node| node.get("slashed").and_then(Value::as_str).is_some_and(|slashed| slashed != "0")))
}

/// Asks the network every held-out question, greedy, and has the answers checked by the model's own checker.
fn checker_pass_rate(bench: &mut Bench<'_>) -> Result<Outcome> {
    let folder = bench.workspace.root().join("models/demo");
    let questions = folder.join("heldout.jsonl");
    let text = std::fs::read_to_string(&questions).context("failed to read models/demo/heldout.jsonl")?;
    let devnet = Devnet::start(bench.workspace, &on_disk(bench), &[])?;
    let mut answers = String::new();
    for row in text.lines() {
        let row: Value = serde_json::from_str(row).context("failed to read a held-out question")?;
        let messages = row.get("messages").context("a held-out question has no `messages`")?;
        let answer = devnet.chat(messages, 128)?;
        answers.push_str(&format!("{}\n", json!({"id": row.get("id"), "answer": answer.text})));
    }
    let answers_file = on_disk(bench).join("answers.jsonl");
    std::fs::write(&answers_file, answers).context("failed to write the answers")?;
    let mut checker = Command::new("python3");
    checker.arg("check.py").arg(&questions).arg(&answers_file).arg("--json").current_dir(folder);
    let output = checker.env("PYTHONDONTWRITEBYTECODE", "1").output().context("failed to start python3")?;
    let report: Value = serde_json::from_slice(&output.stdout).context("failed to read the checker's report")?;
    let count =
        |key: &str| report.get(key).and_then(Value::as_f64).with_context(|| format!("the checker told no `{key}`"));
    let (passed, asked) = (count("passed")?, count("asked")?);
    Ok(Outcome::of(passed / asked * 100.0, format!("{passed} of {asked} held-out questions, through the gateway")))
}
