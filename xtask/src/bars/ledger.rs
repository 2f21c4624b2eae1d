//! The ledger's execution beside Ethereum's own specification, and beside another implementation.
//!
//! The committed cases run with the tests; here fresh ones are made each time, from a seed that the note tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::chain::{GROWTH, folder};
use super::devnet::Devnet;
use super::figure::{Goal, Outcome};
use super::network::in_memory;
use super::rooms::{benchmark, executable, one_line};
use super::{Area, Bar, Bench, chain, peers, survival};
use crate::check::cargo;
use crate::python::{SPECIFICATION, environment};
use crate::stage;

pub static AREA: Area = Area {
    name: "ledger",
    build: super::network::build,
    about: || "fresh seeds; counts of what differs".to_owned(),
    bars: &[
        Bar { name: "EVM cases not as EELS says", goal: Goal::AtMost(0.0, "cases"), measure: specification },
        Bar { name: "OPG transfers, one core, in memory", goal: Goal::Told("a second"), measure: transfers },
        Bar {
            name: "OPG transfers, 4 validators, over RPC",
            goal: Goal::AtLeast(4_000.0, "a second"),
            measure: pressed,
        },
        Bar { name: "100 transfers a second, final p50", goal: Goal::AtMost(30.0, "ms"), measure: steady_p50 },
        Bar { name: "100 transfers a second, final p99", goal: Goal::AtMost(120.0, "ms"), measure: steady_p99 },
        Bar { name: "the same p50, data on disk", goal: Goal::Told("ms"), measure: steady_on_disk },
        Bar { name: "memory of a validator under load", goal: Goal::AtMost(512.0, "MiB"), measure: memory },
        Bar {
            name: "replay of a long chain from disk",
            goal: Goal::AtLeast(10_000.0, "a second"),
            measure: chain::replay,
        },
        Bar { name: GROWTH, goal: Goal::Told("MiB"), measure: chain::growth },
        Bar {
            name: "the same, 1,024 blocks kept ÷ their share",
            goal: Goal::AtMost(1.5, "×"),
            measure: chain::pruned_growth,
        },
        Bar {
            name: "receipts in signed batches, 4 validators",
            goal: Goal::AtLeast(20_000.0, "a second"),
            measure: receipts,
        },
        Bar { name: "our single node ÷ anvil, transfers", goal: Goal::AtLeast(2.0, "×"), measure: peers::anvil },
        Bar { name: "our single node ÷ hardhat, transfers", goal: Goal::AtLeast(2.0, "×"), measure: peers::hardhat },
        Bar { name: "random blocks not as anvil's", goal: Goal::AtMost(0.0, "histories"), measure: anvil },
        Bar { name: "light client, bundle", goal: Goal::AtMost(4096.0, "bytes"), measure: survival::bundle_bytes },
        Bar { name: "light client, verification p50", goal: Goal::AtMost(5.0, "ms"), measure: survival::light_client },
        Bar { name: "simulated seeds that fail", goal: Goal::AtMost(0.0, "runs"), measure: survival::seeds },
        Bar { name: "acknowledged writes lost to kill -9", goal: Goal::AtMost(0.0, "lost"), measure: survival::kills },
        Bar { name: "an epoch's certificate on Base", goal: Goal::AtMost(320_000.0, "gas"), measure: settlement },
    ],
};

/// The executable specification of Ethereum says what cases come to that nobody has seen before.
fn specification(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (count, seed) = (bench.count(2400, 300), seed()?);
    let interpreter = environment(bench.workspace, &SPECIFICATION)?;
    let folder = folder(bench)?;
    let file = folder.join("cases.jsonl.gz");
    let mut make = Command::new(interpreter);
    make.arg("-B").arg(bench.workspace.root().join("crates/evm/tests/conformance/generate.py"));
    make.args(["--cases", &count.to_string(), "--seed", &seed, "--out"]).arg(&file);
    if !stage::run("cases of the specification", &mut make)? {
        bail!("no cases were made");
    }
    let mut check = cargo(bench.workspace);
    check.args(["test", "--package", "evm", "--test", "conformance", "--", "--nocapture"]).env("EVM_CASES", &file);
    // Each family of cases has its share of them, rounded down.
    check.env("EVM_CASES_MIN", (count / 10 * 9).to_string());
    let outcome = stage::run_and_read("cases", &mut check)?;
    let (differ, run) = differing(&outcome.output)?;
    Ok(Outcome::of(differ, format!("{run} cases, seed {seed}: state after, gas and logs")))
}

/// Everything that a validator does with a transfer but agree on it and store it.
fn transfers(bench: &mut Bench<'_>) -> Result<Outcome> {
    let figure = benchmark(bench.workspace, "evm", "execution", "opg_per_second")?;
    Ok(Outcome::of(figure, "crates/evm/benches/execution.rs: recovery, execution and all roots, blocks of 400"))
}

/// What it costs on Base to take over a settlement: one certificate, one path through the state, one root.
fn settlement(bench: &mut Bench<'_>) -> Result<Outcome> {
    let mut check = cargo(bench.workspace);
    check.args([
        "test",
        "--package",
        "devchain",
        "--test",
        "settlement",
        "the_cost_of_a_certificate",
        "--",
        "--nocapture",
    ]);
    let outcome = stage::run_and_read("a settlement on Base", &mut check)?;
    let told = outcome.output.lines().find_map(|line| line.split_once("settlement: ")).context("no cost was told")?.1;
    let gas = told.strip_prefix("advance ").and_then(|rest| rest.split(' ').next()).and_then(|gas| gas.parse().ok());
    Ok(Outcome::of(gas.context("no cost was told")?, format!("{told}; with real shares of a committee of four")))
}

fn pressed(bench: &mut Bench<'_>) -> Result<Outcome> {
    let loaded = loaded(bench, &in_memory()?)?;
    let note = "each validator a process that recovers every sender itself; pre-signed batches of 100; data in memory";
    Ok(Outcome::of(loaded.figure("transfers_per_second ")?, note))
}

/// Receipts that all of four validators have checked, executed and closed in an epoch.
fn receipts(bench: &mut Bench<'_>) -> Result<Outcome> {
    let received = received(bench)?;
    let note = format!(
        "{} receipts in batches of 256 of four gateways; each validator a process that checks every signature itself; data in memory",
        received.figure("receipts ")?
    );
    Ok(Outcome::of(received.figure("receipts_per_second ")?, note))
}

/// What the load of `crates/validator/benches/receipts.rs` came to.
fn received(bench: &mut Bench<'_>) -> Result<Loaded> {
    let program = executable(bench.workspace, "validator", "receipts")?;
    let mut command = Command::new(program);
    command.env("OG_BENCH_RECEIPTS", bench.count(400_000, 20_000).to_string()).env("TMPDIR", in_memory()?);
    let output = command.output().context("failed to start the load of receipts")?;
    if !output.status.success() {
        bail!("the load of receipts failed: {}", one_line(&output.stderr, &output.stdout));
    }
    Loaded::told(&output.stdout, |loaded| loaded.figure("memory_mib "))
}

fn steady_p50(bench: &mut Bench<'_>) -> Result<Outcome> {
    let figure = loaded(bench, &in_memory()?)?.figure("latency_ms_p50 ")?;
    Ok(Outcome::of(figure, "from sending to the head on the last of four validators, data in memory"))
}

fn steady_p99(bench: &mut Bench<'_>) -> Result<Outcome> {
    let figure = loaded(bench, &in_memory()?)?.figure("latency_ms_p99 ")?;
    Ok(Outcome::of(figure, "from sending to the head on the last of four validators, data in memory"))
}

fn steady_on_disk(bench: &mut Bench<'_>) -> Result<Outcome> {
    let folder = folder(bench)?;
    let loaded = loaded(bench, &folder)?;
    let note = format!("p99 {} ms", loaded.figure("latency_ms_p99 ")?);
    Ok(Outcome::of(loaded.figure("latency_ms_p50 ")?, note))
}

/// The most that a validator ever had: under wallets' transfers, under receipts, and with a long chain that it executes again. What was
/// measured of these is kept, so that an interruption costs one of them.
fn memory(bench: &mut Bench<'_>) -> Result<Outcome> {
    type Load = fn(&mut Bench<'_>) -> Result<f64>;
    let loads: [(&str, Load); 3] = [
        ("transfers", |bench| Ok(loaded(bench, &in_memory()?)?.memory)),
        ("receipts", |bench| Ok(received(bench)?.memory)),
        ("a long chain and its replay", |bench| Ok(chain::replayed(bench)?.memory)),
    ];
    let (mut kept, mut told) = (bench.progress().unwrap_or_else(|| json!({})), Vec::new());
    for (name, load) in loads {
        let known = kept.get(name).and_then(Value::as_f64);
        let memory = known.map_or_else(|| load(bench), Ok).with_context(|| format!("memory under {name}"))?;
        if let Some(kept) = kept.as_object_mut() {
            kept.insert(name.to_owned(), json!(memory));
        }
        bench.keep_progress(kept.clone())?;
        told.push((memory, format!("{memory:.0} under {name}")));
    }
    let most = told.iter().map(|(memory, _)| *memory).fold(0.0, f64::max);
    let parts: Vec<String> = told.into_iter().map(|(_, words)| words).collect();
    Ok(Outcome::of(most, format!("MiB of the process that had most: {}", parts.join(", "))))
}

/// What a load came to.
struct Loaded {
    text: String,
    /// Most MiB that one validator had.
    memory: f64,
}

impl Loaded {
    fn told(stdout: &[u8], memory: impl FnOnce(&Self) -> Result<f64>) -> Result<Self> {
        let mut loaded = Self { text: String::from_utf8_lossy(stdout).into_owned(), memory: f64::NAN };
        loaded.memory = memory(&loaded)?;
        Ok(loaded)
    }

    fn figure(&self, key: &str) -> Result<f64> {
        let figure = self.text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
        figure.with_context(|| format!("the benchmark printed no `{key}`: {}", self.text))
    }
}

/// A devnet of processes with its data in `parent`, under the load of `crates/validator/benches/ledger.rs`.
fn loaded(bench: &mut Bench<'_>, parent: &Path) -> Result<Loaded> {
    let program = executable(bench.workspace, "validator", "ledger")?;
    let devnet = Devnet::start(bench.workspace, parent, &["--processes", "--workers", "1"])?;
    let seconds = bench.count(60, 10).to_string();
    devnet.explained(under_load(&devnet, &program, &seconds), &bench.failed_folder())
}

fn under_load(devnet: &Devnet, program: &Path, seconds: &str) -> Result<Loaded> {
    let key = devnet.at("/base/keys/0/secret")?.as_str().context("the devnet told no funded key")?;
    let mut command = Command::new(program);
    command.env("OG_BENCH_URLS", devnet.ledger_urls()?).env("OG_BENCH_KEY", key);
    command.env("OG_BENCH_SECONDS", seconds);
    let output = command.output().context("failed to start the load")?;
    if !output.status.success() {
        bail!("the load failed: {}", one_line(&output.stderr, &output.stdout));
    }
    Loaded::told(&output.stdout, |_| devnet.memory("validator"))
}

/// How many cases the test found different, of how many. One that says neither, or that there are too few, is no figure.
fn differing(output: &str) -> Result<(f64, u64)> {
    let last_word = |text: &str| text.rsplit(' ').next().map(str::to_owned);
    let before = |words: &str| output.lines().find_map(|line| line.split_once(words).map(|(before, _)| before));
    if let Some(count) = before(" cases agree").and_then(last_word) {
        return Ok((0.0, count.parse::<u64>().context("no count of cases")?));
    }
    let (differ, all) =
        before(" cases differ").and_then(|text| text.rsplit_once(" of ")).context("the cases were not run")?;
    let differ = last_word(differ).context("no count of cases")?;
    Ok((differ.parse::<f64>().context("no count of cases")?, all.parse::<u64>().context("no count of cases")?))
}

/// Random transactions in blocks, one implementation beside the other.
fn anvil(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (count, seed) = (bench.count(10_000, 500), seed()?);
    let program = anvil_program(bench)?;
    let mut check = cargo(bench.workspace);
    check.args(["test", "--package", "evm", "--test", "anvil", "--", "--ignored", "--nocapture"]);
    check.env("EVM_ANVIL", program).env("EVM_SEED", &seed).env("EVM_TRANSACTIONS", count.to_string());
    let outcome = stage::run_and_read("histories beside anvil", &mut check)?;
    let told = outcome.output.lines().find(|line| line.contains(" transactions, ")).unwrap_or("no history ended");
    let note = format!("{told}; seed {seed}: roots of transactions and receipts, blooms, gas, base fees, accounts");
    Ok(Outcome::of(f64::from(u8::from(!outcome.succeeded)), note))
}

/// Installed from its package into the build folder.
fn anvil_program(bench: &Bench<'_>) -> Result<PathBuf> {
    let folder = folder(bench)?;
    let pins = bench.workspace.root().join("crates/evm/tests/conformance/package.json");
    fs::copy(&pins, folder.join("package.json")).context("failed to copy the pins of npm packages")?;
    let mut install = Command::new("npm");
    install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    if !stage::run("npm packages", &mut install)? {
        bail!("failed to install anvil\nhint: it needs npm, and the network once");
    }
    peers::anvil_in(&folder)
}

fn seed() -> Result<String> {
    Ok((SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?.as_secs() % 1_000_000).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_differing_cases_is_read_and_a_run_without_one_is_no_figure() {
        assert_eq!(differing("test every_case ... 2390 cases agree\nok").unwrap(), (0.0, 2390));
        assert_eq!(differing("thread panicked\n17 of 2400 cases differ\nx").unwrap(), (17.0, 2400));
        for refused in ["", "error: could not compile", "only 7 cases, 2160 expected"] {
            assert!(differing(refused).is_err(), "{refused}");
        }
    }
}
