//! How fast the engine is beside llama.cpp and candle on one thread, and what it needs of time and memory by itself.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Bench;
use super::figure::{Outcome, median};
use super::worker::{Match, Seconds, Worker, alternate, middle, middle_by_clock};
use super::yard::Yard;

/// Tokens of a prompt, and of an answer behind it.
pub const PREFILL: &str = "prefill 120";
pub const DECODE: &str = "decode 32";
const PREFILL_TOKENS: f64 = 120.0;
const DECODE_TOKENS: f64 = 32.0;
/// Weights of the 1B shape that one token touches, and what a Q8_0 block of 32 of them weighs.
const WEIGHTS_1B: f64 = 1_038_614_528.0;
const BYTES_OF_32: f64 = 34.0;
/// Bytes of keys and values of one position of the 1B shape: layers, key-value heads, width, both, f16.
const CACHE_1B: f64 = (16 * 8 * 64 * 2 * 2) as f64;

pub fn decode_q8_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    decode(bench, "q8_0", "ordered", "q8_0")
}

pub fn decode_q4_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    decode(bench, "q4_0", "ordered", "q4_0")
}

pub fn decode_q4_k_m(bench: &mut Bench<'_>) -> Result<Outcome> {
    decode(bench, "q4_k_m", "ordered", "q4_k_m")
}

pub fn decode_integer(bench: &mut Bench<'_>) -> Result<Outcome> {
    decode(bench, "q8_0", "integer", "q8_0")
}

pub fn prefill_q8_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    prefill(bench, "q8_0", "ordered", "q8_0")
}

pub fn prefill_q4_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    prefill(bench, "q4_0", "ordered", "q4_0")
}

pub fn prefill_q4_k_m(bench: &mut Bench<'_>) -> Result<Outcome> {
    prefill(bench, "q4_k_m", "ordered", "q4_k_m")
}

pub fn prefill_integer(bench: &mut Bench<'_>) -> Result<Outcome> {
    prefill(bench, "q8_0", "integer", "q8_0")
}

fn decode(bench: &mut Bench<'_>, format: &str, kind: &str, theirs: &str) -> Result<Outcome> {
    let (mut ours, mut theirs) = beside_llama(bench, format, kind, theirs, 1)?;
    let found = alternate(bench.count(7, 3), &mut ours, &mut theirs, Some(PREFILL), DECODE)?;
    compared(&found, DECODE_TOKENS)
}

fn prefill(bench: &mut Bench<'_>, format: &str, kind: &str, theirs: &str) -> Result<Outcome> {
    let (mut ours, mut theirs) = beside_llama(bench, format, kind, theirs, 1)?;
    let found = alternate(bench.count(7, 3), &mut ours, &mut theirs, None, PREFILL)?;
    compared(&found, PREFILL_TOKENS)
}

pub fn avx2_decode_q8_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    forced(bench, "q8_0", Some(PREFILL), DECODE, DECODE_TOKENS)
}

pub fn avx2_decode_q4_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    forced(bench, "q4_0", Some(PREFILL), DECODE, DECODE_TOKENS)
}

pub fn avx2_prefill_q8_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    forced(bench, "q8_0", None, PREFILL, PREFILL_TOKENS)
}

pub fn avx2_prefill_q4_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    forced(bench, "q4_0", None, PREFILL, PREFILL_TOKENS)
}

/// Both engines as on a CPU that ends at AVX2. The heading names the CPU that it was in truth: caches, memory and clock are that one's.
fn forced(bench: &mut Bench<'_>, format: &str, prepare: Option<&str>, work: &str, tokens: f64) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let file = yard.gguf("1b", format)?;
    let (mut ours, mut theirs) = (yard.ours_avx2(&yard.artefact(&file, "ordered")?)?, yard.llama_avx2(&file)?);
    let outcome = compared(&alternate(bench.count(7, 3), &mut ours, &mut theirs, prepare, work)?, tokens)?;
    Ok(Outcome { note: format!("{}; both without anything newer", outcome.note), ..outcome })
}

pub fn candle_decode_q8_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_candle(bench, "q8_0", Some(PREFILL), DECODE, DECODE_TOKENS)
}

pub fn candle_decode_q4_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_candle(bench, "q4_0", Some(PREFILL), DECODE, DECODE_TOKENS)
}

pub fn candle_prefill_q8_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_candle(bench, "q8_0", None, PREFILL, PREFILL_TOKENS)
}

pub fn candle_prefill_q4_0(bench: &mut Bench<'_>) -> Result<Outcome> {
    beside_candle(bench, "q4_0", None, PREFILL, PREFILL_TOKENS)
}

/// Another engine in our own language, on the same file: told, nothing is promised of it.
fn beside_candle(
    bench: &mut Bench<'_>,
    format: &str,
    prepare: Option<&str>,
    work: &str,
    tokens: f64,
) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let file = yard.gguf("1b", format)?;
    let (mut ours, mut theirs) = (yard.ours(&yard.artefact(&file, "ordered")?, 1)?, yard.candle(&file)?);
    compared(&alternate(bench.count(5, 3), &mut ours, &mut theirs, prepare, work)?, tokens)
}

/// Eight texts a step at a time, all in one call, behind prompts of 32 tokens.
pub fn chats(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut ours, mut theirs) = beside_llama(bench, "q8_0", "ordered", "q8_0", 8)?;
    let found = alternate(bench.count(7, 3), &mut ours, &mut theirs, None, "chats 8 32 16")?;
    compared(&found, 8.0 * 16.0)
}

fn beside_llama(bench: &Bench<'_>, format: &str, kind: &str, theirs: &str, texts: u32) -> Result<(Worker, Worker)> {
    let yard = Yard::open(bench)?;
    let artefact = yard.artefact(&yard.gguf("1b", format)?, kind)?;
    Ok((yard.ours(&artefact, 1)?, yard.llama(&yard.gguf("1b", theirs)?, 1, texts)?))
}

fn compared(found: &Match, units: f64) -> Result<Outcome> {
    let ((ours, theirs), (least, most)) = (found.rates(units)?, found.range());
    let note = format!(
        "{ours:.1} against {theirs:.1} tokens per CPU second, one thread; turns {least:.2} to {most:.2}; {:.2} × by the clock",
        found.times_as_fast_by_clock()?
    );
    Ok(Outcome::of(found.times_as_fast()?, note))
}

/// The read test runs before and after, because neighbours on the machine move it.
pub fn bandwidth(bench: &mut Bench<'_>) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let artefact = yard.artefact(&yard.gguf("1b", "q8_0")?, "ordered")?;
    let before = read_test(&yard)?;
    let mut ours = yard.ours(&artefact, 1)?;
    let mut times = Vec::new();
    for _ in 0..=bench.count(7, 3) {
        ours.ask(PREFILL)?;
        times.push(ours.seconds(DECODE)?);
    }
    let readable = before.max(read_test(&yard)?);
    let bytes = WEIGHTS_1B / 32.0 * BYTES_OF_32 * DECODE_TOKENS;
    let read = bytes / middle(times.get(1..).unwrap_or_default())?;
    let note = format!("{:.1} of {:.1} GB per CPU second, one thread", read / 1e9, readable / 1e9);
    Ok(Outcome::of(read / readable * 100.0, note))
}

fn read_test(yard: &Yard<'_>) -> Result<f64> {
    let output = yard.engine().args(["read", "1073741824"]).output().context("failed to start the read test")?;
    let told: Value = serde_json::from_slice(&output.stdout).context("the read test told nothing")?;
    told.get("bytes_per_cpu_s").and_then(Value::as_f64).context("the read test told no rate")
}

pub fn audit_ordered(bench: &mut Bench<'_>) -> Result<Outcome> {
    audit(bench, "ordered")
}

pub fn audit_integer(bench: &mut Bench<'_>) -> Result<Outcome> {
    audit(bench, "integer")
}

/// A prompt of 32 tokens and an answer of 256: one run over both, beside finding the answer token by token.
fn audit(bench: &mut Bench<'_>, kind: &str) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let artefact = yard.artefact(&yard.gguf("1b", "q8_0")?, kind)?;
    let mut ours = yard.ours(&artefact, 1)?;
    let (mut generations, mut audits): (Vec<Seconds>, Vec<Seconds>) = (Vec::new(), Vec::new());
    for _ in 0..bench.count(3, 1) {
        generations.push(ours.seconds("generate 32 256")?);
        audits.push(ours.seconds("audit")?);
    }
    let (generation, audit) = (middle(&generations)?, middle(&audits)?);
    let note = format!(
        "{audit:.2} of {generation:.2} CPU s, {:.3} by the clock; Q8_0, 32-token prompt, 256-token answer, one thread",
        middle_by_clock(&audits)? / middle_by_clock(&generations)?
    );
    Ok(Outcome::of(audit / generation, note))
}

/// The peak after a prompt and an answer, mapped weights that were touched included.
pub fn memory(bench: &mut Bench<'_>) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let artefact = yard.artefact(&yard.gguf("1b", "q8_0")?, "ordered")?;
    let weights = std::fs::metadata(&artefact)?.len() as f64;
    let mut ours = yard.ours(&artefact, 1)?;
    ours.ask("prefill 512")?;
    ours.ask(DECODE)?;
    let peak = ours.ask("memory")?.get("peak_bytes").and_then(Value::as_f64).context("no peak was told")?;
    let cache = CACHE_1B * (512.0 + DECODE_TOKENS);
    let note = format!("peak {:.0} MB, cache {:.0} MB, artefact {:.0} MB", peak / 1e6, cache / 1e6, weights / 1e6);
    Ok(Outcome::of((peak - cache) / weights, note))
}

/// From the start of a process to the first token of an answer; the artefact lies in the system's file cache.
pub fn first_token(bench: &mut Bench<'_>) -> Result<Outcome> {
    let yard = Yard::open(bench)?;
    let artefact = yard.artefact(&yard.gguf("1b", "q8_0")?, "ordered")?;
    let mut times = Vec::new();
    for _ in 0..bench.count(5, 2) {
        let started = std::time::Instant::now();
        yard.ours(&artefact, 1)?.ask("prefill 16")?;
        times.push(started.elapsed().as_secs_f64());
    }
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    let note = format!("start of process to first token, prompt of 16; median of {}, best {best:.2} s", times.len());
    Ok(Outcome::of(median(times).context("nothing was timed")?, note))
}
