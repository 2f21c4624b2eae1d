//! Public cases that others wrote: ONNX's backend test, vocabularies with their tokens, chat templates.
//!
//! The cases come out of pinned packages, once, into the build folder; our own examples run them and print what became of each.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Bench;
use super::figure::Outcome;
use crate::check::cargo;
use crate::python::{PEERS, environment};
use crate::stage;
use crate::workspace::Workspace;

/// Templates that must come out byte for byte; the rest may be refused by name.
const TEMPLATES_LEAST: usize = 60;
/// The vocabularies' package is the one that pins the peers.
const PINS: &str = "models/peers/requirements.txt";

/// Of all node cases those that pass, none subtracted.
pub fn conformance(bench: &mut Bench<'_>) -> Result<Outcome> {
    let workspace = bench.workspace;
    let cases = made(workspace, "models/onnx/cases.py", &[], "onnx-cases")?;
    let told = example(workspace, "graph", "conformance", &[cases])?;
    let (passed, all) = count(&told, "node: ").context("the example printed no count of node cases")?;
    let others: Vec<&str> = told.lines().filter(|line| is_count(line) && !line.starts_with("node: ")).collect();
    Ok(Outcome::of(passed as f64 / all as f64 * 100.0, format!("{passed} of {all} node cases; {}", others.join(", "))))
}

/// Tokenizer cases and templates that give something else, and templates that fail to be enough.
pub fn words(bench: &mut Bench<'_>) -> Result<Outcome> {
    let workspace = bench.workspace;
    let pins = workspace.root().join(PINS);
    let folder = made(workspace, "models/peers/words.py", &[pins], "words")?;
    let told = example(workspace, "engine", "vocabularies", &[folder.join("vocabularies")])?;
    let (tokens, tokens_all) = count(&told, "tokenizer cases: ").context("the example printed no count of cases")?;
    let told = example(workspace, "engine", "templates", &[folder.join("templates"), folder.join("reference.json")])?;
    let (equal, all) = count(&told, "chat templates: ").context("the example printed no count of templates")?;
    let differ = told.lines().filter(|line| line.contains(": DIFFERS: ")).count();
    let failed = (tokens_all - tokens) + differ + TEMPLATES_LEAST.saturating_sub(equal);
    let refused = all - equal - differ;
    let note = format!(
        "{tokens} of {tokens_all} tokenizer cases; of {all} templates {equal} equal (at least {TEMPLATES_LEAST}), {refused} refused"
    );
    Ok(Outcome::of(failed as f64, note))
}

/// The folder that a script fills, once for each text of the script: `python script [arguments] FOLDER`.
fn made(workspace: &Workspace, script: &str, arguments: &[PathBuf], name: &str) -> Result<PathBuf> {
    let path = workspace.root().join(script);
    let text = fs::read(&path).with_context(|| format!("failed to read {script}"))?;
    let folder = workspace.target().join("peers").join(format!("{name}-{:08x}", super::yard::digest(&text) >> 32));
    if folder.exists() {
        return Ok(folder);
    }
    let interpreter = environment(workspace, &PEERS)?;
    // Filled beside, so that an interrupted run leaves nothing that looks whole.
    let part = folder.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("failed to remove {}", part.display()))?;
    }
    let mut command = Command::new(interpreter);
    command.arg(path).args(arguments).arg(&part).env("PYTHONDONTWRITEBYTECODE", "1");
    if !stage::run(&format!("fetch {name}"), &mut command)? {
        bail!("{script} failed\nhint: it needs the network once");
    }
    fs::rename(&part, &folder).with_context(|| format!("failed to keep {}", folder.display()))?;
    Ok(folder)
}

/// What a room's example prints; it may fail, because its counts are what is wanted.
fn example(workspace: &Workspace, room: &str, name: &str, arguments: &[PathBuf]) -> Result<String> {
    let mut build = cargo(workspace);
    if !stage::run(&format!("build {name}"), build.args(["build", "--quiet", "--package", room, "--example", name]))? {
        bail!("failed to build the example {name} of {room}");
    }
    let mut command = cargo(workspace);
    command.args(["run", "--quiet", "--package", room, "--example", name, "--"]).args(arguments);
    // What goes to the screen otherwise is long; it is kept beside the cases.
    let log = workspace.target().join("peers").join(format!("{name}.txt"));
    let file = File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file).stderr(Stdio::inherit());
    command.status().context("failed to start cargo")?;
    fs::read_to_string(&log).with_context(|| format!("failed to read {}", log.display()))
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
