//! What public harnesses find when they ask a devnet: one scores a task of our own, one asks as many users at once.
//!
//! They bring a gigabyte of packages, so no test runs them; they need no torch.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Bench;
use super::devnet::Devnet;
use super::figure::Outcome;
use crate::check::cargo;
use crate::python::{EVALUATION, GUIDE, LOAD, environment};
use crate::stage;

/// `lm-eval`'s `local-completions`: choices are ranked by the log-probabilities that echoed prompts come back with.
pub fn evaluation(bench: &mut Bench<'_>) -> Result<Outcome> {
    let out = fresh(bench, "lm-eval-results")?;
    let devnet = devnet(bench)?;
    let model = format!(
        "model=demo-chat,base_url={}/v1/completions,tokenizer_backend=huggingface,tokenizer=models/demo,num_concurrent=2",
        devnet.gateway()?
    );
    let interpreter = environment(bench.workspace, &EVALUATION)?;
    let mut command = Command::new(interpreter);
    command.args(["-m", "lm_eval", "run", "--model", "local-completions", "--model_args", &model]);
    command.args(["--tasks", "receipts", "--include_path", "tests/harness", "--output_path"]).arg(&out);
    offline(&mut command, bench.workspace.root());
    if !stage::run("lm-eval", &mut command)? {
        bail!("lm-eval failed");
    }
    let results = results(&out, "results_")?;
    let right =
        results.pointer("/results/receipts/acc,none").and_then(Value::as_f64).context("no accuracy was told")?;
    Ok(Outcome::of(right * 100.0, "tests/harness/receipts.yaml: 31 held-out questions, the likeliest of four facts"))
}

/// `aiperf`, streaming chats from eight users at once: how many of its requests failed, by its own count.
pub fn load(bench: &mut Bench<'_>) -> Result<Outcome> {
    let out = fresh(bench, "aiperf-results")?;
    let (requests, devnet) = (bench.count(200, 40).to_string(), devnet(bench)?);
    environment(bench.workspace, &LOAD)?;
    // The environment's own program: the module is not one that can be run.
    let mut command = Command::new(bench.workspace.target().join("harness/aiperf/bin/aiperf"));
    command.args(["profile", "--model", "demo-chat", "--endpoint-type", "chat", "--streaming", "--url"]);
    command.arg(devnet.gateway()?);
    command.args(["--tokenizer", "models/demo", "--concurrency", "8", "--request-count", &requests]);
    command
        .args(["--isl", "64", "--osl", "32", "--random-seed", "7", "--ui", "none", "--output-artifact-dir"])
        .arg(&out);
    // Its offline mode looks for tokenizers in a cache alone; the one that it is given is a folder of this tree, so nothing is fetched.
    command.current_dir(bench.workspace.root()).env("HF_HUB_DISABLE_TELEMETRY", "1").env("OPENAI_API_KEY", "none");
    if !stage::run("aiperf", &mut command)? {
        bail!("aiperf failed");
    }
    let results = results(&out, "profile_export_aiperf.json")?;
    let told =
        |path: &str| results.pointer(path).and_then(Value::as_f64).with_context(|| format!("no {path} was told"));
    let (answered, rate, first) =
        (told("/request_count/avg")?, told("/request_throughput/avg")?, told("/time_to_first_token/p50")?);
    let (tokens_in, tokens_out) = (told("/input_sequence_length/avg")?, told("/output_sequence_length/avg")?);
    let asked: f64 = requests.parse().context("a count is a number")?;
    Ok(Outcome::of(asked - answered, Loaded { rate, first, tokens_in, tokens_out }.note()))
}

/// What a harness counted of its load. Nobody can make an answer longer than its model does, so its tokens are counted and not assumed.
struct Loaded {
    rate: f64,
    first: f64,
    tokens_in: f64,
    tokens_out: f64,
}

impl Loaded {
    fn note(&self) -> String {
        let Self { rate, first, tokens_in, tokens_out } = self;
        format!(
            "demo-chat, 8 streams, {tokens_in:.0} tokens in, {tokens_out:.1} out of 32 at most: {rate:.1} answers/s, {:.0} tokens/s, first token p50 {first:.0} ms",
            rate * tokens_out
        )
    }
}

/// `guidellm`, the same load: its own text and tokenizer are files of the package and of this tree.
pub fn guide(bench: &mut Bench<'_>) -> Result<Outcome> {
    let out = fresh(bench, "guidellm-results")?;
    let (requests, devnet) = (bench.count(200, 40).to_string(), devnet(bench)?);
    environment(bench.workspace, &GUIDE)?;
    let mut command = Command::new(bench.workspace.target().join("harness/guidellm/bin/guidellm"));
    command.args([
        "benchmark",
        "run",
        "--target",
        devnet.gateway()?,
        "--model",
        "demo-chat",
        "--processor",
        "models/demo",
    ]);
    command.args(["--data", "prompt_tokens=64,output_tokens=32", "--rate-type", "concurrent", "--rate", "8"]);
    // It asks for answers that go on where their model ends them, which is refused by name.
    command.args(["--backend-args", r#"{"remove_from_body":["ignore_eos"]}"#]);
    command.args(["--max-requests", &requests, "--random-seed", "7", "--disable-progress", "--output-path"]);
    command.arg(out.join("benchmarks.json")).env("GUIDELLM__OPENAI__API_KEY", "none");
    offline(&mut command, bench.workspace.root());
    if !stage::run("guidellm", &mut command)? {
        bail!("guidellm failed");
    }
    let results = results(&out, "benchmarks.json")?;
    let told = |path: &str| {
        let path = format!("/benchmarks/0/{path}");
        results.pointer(&path).and_then(Value::as_f64).with_context(|| format!("no {path} was told"))
    };
    let answered = told("request_totals/successful")?;
    let rate = told("metrics/requests_per_second/successful/mean")?;
    // Its means are spoilt by answers without a token; medians are not.
    let first = told("metrics/time_to_first_token_ms/successful/median")?;
    let tokens_in = told("metrics/prompt_token_count/successful/mean")?;
    let tokens_out = told("metrics/output_token_count/successful/mean")?;
    let asked: f64 = requests.parse().context("a count is a number")?;
    Ok(Outcome::of(asked - answered, Loaded { rate, first, tokens_in, tokens_out }.note()))
}

fn devnet(bench: &Bench<'_>) -> Result<Devnet> {
    let mut build = cargo(bench.workspace);
    build.args(["build", "--quiet", "--release", "--package", "og"]);
    if !stage::run("build", &mut build)? {
        bail!("failed to build the network");
    }
    Devnet::start(bench.workspace, &std::env::temp_dir(), &["--validators", "1", "--workers", "1"])
}

/// An empty folder for what a harness writes.
fn fresh(bench: &Bench<'_>, name: &str) -> Result<PathBuf> {
    let folder = bench.workspace.target().join("harness").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("failed to empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    Ok(folder)
}

/// Nothing is fetched from anywhere: the task, its data and the tokenizer are files of this tree.
fn offline(command: &mut Command, root: &Path) {
    command
        .current_dir(root)
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_DATASETS_OFFLINE", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("OPENAI_API_KEY", "none");
}

/// The first file below `folder` whose name begins so, as JSON.
fn results(folder: &Path, name: &str) -> Result<Value> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("failed to list {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with(name) {
                let text = std::fs::read(entry.path()).context("failed to read the results")?;
                return serde_json::from_slice(&text).context("the results are no JSON");
            }
        }
    }
    bail!("{} holds no {name}", folder.display())
}
