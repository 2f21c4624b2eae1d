//! The ledger's execution beside Ethereum's own specification, and beside another implementation.
//!
//! The committed cases run with the tests; here fresh ones are made each time, from a seed that the note tells.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use super::figure::{Goal, Outcome};
use super::rooms::benchmark;
use super::{Area, Bar, Bench, survival};
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
    let outcome = stage::run_and_read("cases", &mut check)?;
    let differ = differing(&outcome.output, outcome.succeeded)?;
    Ok(Outcome::of(differ, format!("about {count} cases, seed {seed}: state after, gas and logs")))
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

/// How many cases the test found different.
fn differing(output: &str, succeeded: bool) -> Result<f64> {
    if succeeded {
        return Ok(0.0);
    }
    let line = output.lines().find(|line| line.contains(" cases differ")).context("the cases were not run")?;
    let count = line.split(" of ").next().and_then(|words| words.rsplit(' ').next()).context("no count of cases")?;
    count.parse().context("no count of cases")
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
    let packages = folder.join("node_modules/@foundry-rs");
    for entry in fs::read_dir(&packages).with_context(|| format!("failed to list {}", packages.display()))? {
        let program = entry?.path().join("bin/anvil");
        if program.is_file() {
            return Ok(program);
        }
    }
    bail!("the package of anvil has no program for this machine")
}

fn folder(bench: &Bench<'_>) -> Result<PathBuf> {
    let folder = bench.workspace.target().join("ledger");
    fs::create_dir_all(&folder).context("failed to make a folder for the ledger's bars")?;
    Ok(folder)
}

fn seed() -> Result<String> {
    Ok((SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?.as_secs() % 1_000_000).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_differing_cases_is_read_and_a_run_without_one_is_no_figure() {
        assert_eq!(differing("", true).unwrap(), 0.0);
        assert_eq!(differing("thread panicked\n17 of 2400 cases differ\nx", false).unwrap(), 17.0);
        assert!(differing("error: could not compile", false).is_err());
    }
}
