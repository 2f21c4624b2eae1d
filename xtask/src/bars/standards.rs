//! Public cases that others wrote: ONNX's backend test, a model of types of files, vocabularies with their tokens, chat templates.
//!
//! Our own examples and tests run them and print what became of each.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

use super::Bench;
use super::figure::Outcome;
use crate::check::cargo;
use crate::conformance::{RUNTIMES, peers};
use crate::stage;
use crate::standards;
use crate::tally::Tally;

/// Templates that must come out byte for byte; the rest may be refused by name.
const TEMPLATES_LEAST: usize = 60;
/// How the example's count of the last kind begins.
const LAST_KIND: &str = "real: ";

/// Of all node cases those that pass, none subtracted.
pub fn conformance(bench: &mut Bench<'_>) -> Result<Outcome> {
    let told = onnx(bench)?;
    let (passed, all) = count(told, "node: ").context("the example printed no count of node cases")?;
    let others: Vec<&str> = told.lines().filter(|line| is_count(line) && !line.starts_with("node: ")).collect();
    Ok(Outcome::of(passed as f64 / all as f64 * 100.0, format!("{passed} of {all} node cases; {}", others.join(", "))))
}

/// Cases of all kinds that fail though our operators claim to answer them; the example knows which do not, each with its reason.
pub fn claimed(bench: &mut Bench<'_>) -> Result<Outcome> {
    let told = onnx(bench)?;
    // Failures are named last: a run that ended early would have none.
    count(told, LAST_KIND).context("the example did not come to the last kind of cases")?;
    let counts = told.lines().filter(|line| is_count(line));
    let passed: usize =
        counts.filter_map(|line| count(line, line.split_inclusive(": ").next()?)).map(|(it, _)| it).sum();
    let failed: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("claimed, and fails: ")).collect();
    let unclaimed = told.lines().filter_map(|line| line.strip_prefix("unclaimed ")?.split_once('…'));
    let unclaimed: Vec<&str> = unclaimed.map(|(name, _)| name).collect();
    let mut note = format!("{passed} pass, of all kinds; unclaimed by name: {}", unclaimed.join(", "));
    if !failed.is_empty() {
        note = format!("{}; {note}", failed.join(", "));
    }
    Ok(Outcome::of(failed.len() as f64, note))
}

/// How many node cases more than the better of two other runtimes in our own language pass here, by one tolerance.
pub fn beside_others(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (passed, all) = count(onnx(bench)?, "node: ").context("the example printed no count of node cases")?;
    let folder = bench.workspace.target().join("standards/beside");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    peers(bench.workspace, &standards::onnx(bench.workspace)?, &["node"], &folder)?;
    let (mut best, mut notes) = (0, vec![format!("ours {passed}")]);
    for name in RUNTIMES {
        let theirs = passes(&folder.join(format!("{name}.txt")), all)?;
        best = best.max(theirs);
        notes.push(format!("{name} {theirs}"));
    }
    Ok(Outcome::of(passed as f64 - best as f64, format!("{} of {all} node cases", notes.join(", "))))
}

/// How many cases pass in the file of a runtime, which has a line for every one of them.
fn passes(path: &Path, all: usize) -> Result<usize> {
    let told = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let lines = told.lines().count();
    if lines != all {
        bail!("{} tells of {lines} cases instead of {all}", path.display());
    }
    Ok(told.lines().filter(|line| line.starts_with("pass ")).count())
}

/// What the example prints of the standard's cases: run once for all bars that read it.
fn onnx(bench: &Bench<'_>) -> Result<&'static str> {
    static TOLD: OnceLock<String> = OnceLock::new();
    if let Some(known) = TOLD.get() {
        return Ok(known.as_str());
    }
    let mut run = cargo(bench.workspace);
    run.args(["run", "--quiet", "--package", "graph", "--example", "conformance", "--"]);
    let told = told(run.arg(standards::onnx(bench.workspace)?))?;
    Ok(TOLD.get_or_init(|| told).as_str())
}

/// Whether a public model that tells types of files gives its own labels here, of more than a hundred files.
pub fn labels(bench: &mut Bench<'_>) -> Result<Outcome> {
    const TEST: &str = "files_have_the_types_that_magika_itself_gives_them";
    let mut run = cargo(bench.workspace);
    run.args(["test", "--package", "engine", "--test", "standards", "--", "--exact", TEST]);
    let ran = stage::run_and_read("labels", run.env("OG_TEST_MAGIKA", standards::magika(bench.workspace)?))?;
    let tally = Tally::of_libtest(&ran.output).with_status(ran.succeeded);
    if tally.passed + tally.failed == 0 {
        bail!("no test is called {TEST}");
    }
    Ok(Outcome::of(tally.failed as f64, "crates/engine/tests/standards.rs: every label is the package's own"))
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

    #[test]
    fn a_runtime_that_tells_of_other_cases_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tract.txt");
        fs::write(&path, "pass test_a\nfail test_b: why\npass test_c\n").unwrap();
        assert_eq!(passes(&path, 3).unwrap(), 2);
        assert!(passes(&path, 4).unwrap_err().to_string().ends_with("tells of 3 cases instead of 4"));
        assert!(passes(&folder.path().join("rten.txt"), 3).is_err());
    }
}
