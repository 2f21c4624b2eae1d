//! Public cases that others wrote: ONNX's backend test, vocabularies with their tokens, chat templates.
//!
//! Our own examples and tests run them and print what became of each.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Bench;
use super::figure::Outcome;
use crate::check::cargo;
use crate::stage;
use crate::standards;

/// Templates that must come out byte for byte; the rest may be refused by name.
const TEMPLATES_LEAST: usize = 60;

/// Of all node cases those that pass, none subtracted.
pub fn conformance(bench: &mut Bench<'_>) -> Result<Outcome> {
    let mut run = cargo(bench.workspace);
    run.args(["run", "--quiet", "--package", "graph", "--example", "conformance", "--"]);
    let told = told(run.arg(standards::onnx(bench.workspace)?))?;
    let (passed, all) = count(&told, "node: ").context("the example printed no count of node cases")?;
    let others: Vec<&str> = told.lines().filter(|line| is_count(line) && !line.starts_with("node: ")).collect();
    Ok(Outcome::of(passed as f64 / all as f64 * 100.0, format!("{passed} of {all} node cases; {}", others.join(", "))))
}

/// Tokenizer cases and templates that give something else, and templates that fail to be enough.
pub fn words(bench: &mut Bench<'_>) -> Result<Outcome> {
    let mut run = cargo(bench.workspace);
    run.args(["test", "--package", "engine", "--test", "words", "--", "--nocapture"]);
    let told = told(run.env("OG_TEST_WORDS", standards::words(bench.workspace)?))?;
    let (tokens, tokens_all) = count(&told, "tokenizer cases: ").context("the test printed no count of cases")?;
    let (equal, all) = count(&told, "chat templates: ").context("the test printed no count of templates")?;
    let differ = told.lines().filter(|line| line.contains(": DIFFERS: ")).count();
    let failed = (tokens_all - tokens) + differ + TEMPLATES_LEAST.saturating_sub(equal);
    let refused = all - equal - differ;
    let note = format!(
        "{tokens} of {tokens_all} tokenizer cases; of {all} templates {equal} equal (at least {TEMPLATES_LEAST}), {refused} refused"
    );
    Ok(Outcome::of(failed as f64, note))
}

/// What a command prints; it may fail, because its counts are what is wanted.
fn told(command: &mut Command) -> Result<String> {
    let started = stage::open("cases");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("failed to start cargo")?;
    stage::close("cases", started, output.status.success());
    if output.stdout.is_empty() {
        bail!("nothing was printed");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The two numbers of the line `<key><number> of <number>…`.
fn count(told: &str, key: &str) -> Option<(usize, usize)> {
    let line = told.lines().rev().find_map(|line| line.strip_prefix(key))?;
    let mut words = line.split_whitespace();
    let passed = words.next()?.parse().ok()?;
    let all = words.nth(1)?.parse().ok()?;
    (passed <= all && all > 0).then_some((passed, all))
}

/// Whether a line is `<kind>: <number> of <number>`.
fn is_count(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(kind, _)| count(line, &format!("{kind}: ")).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_where_they_stand() {
        let told = "wrong test_x: 3 of what\nnode: 1692 of 1884\nsimple: 3 of 23\n";
        assert_eq!(count(told, "node: "), Some((1692, 1884)));
        assert_eq!(count(told, "real: "), None);
        assert_eq!(count("tokenizer cases: 7 of 9 equal", "tokenizer cases: "), Some((7, 9)));
        assert_eq!(count("node: 9 of 7", "node: "), None);
        assert_eq!(told.lines().filter(|line| is_count(line)).count(), 2);
    }
}
