//! The benchmarks that rooms keep in their own `benches/`: run for one figure, or built to be run by hand.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::check::cargo;
use crate::workspace::Workspace;

/// Runs a room's benchmark and reads the figure that it prints behind `key`.
pub fn benchmark(workspace: &Workspace, room: &str, name: &str, key: &str) -> Result<f64> {
    let mut command = cargo(workspace);
    command.args(["bench", "--quiet", "--package", room, "--bench", name]).stderr(Stdio::inherit());
    let output = command.output().context("failed to start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    figure.with_context(|| format!("the benchmark {name} of {room} printed no `{key}`"))
}

/// Builds a room's benchmark and tells where it lies.
pub fn executable(workspace: &Workspace, room: &str, name: &str) -> Result<PathBuf> {
    let mut command = cargo(workspace);
    command.args(["bench", "--quiet", "--package", room, "--bench", name, "--no-run", "--message-format=json"]);
    let output = command.stderr(Stdio::inherit()).output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!("failed to build the benchmark {name} of {room}");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_it = message.pointer("/target/name")?.as_str()? == name;
        let path = message.get("executable")?.as_str()?;
        is_it.then(|| PathBuf::from(path))
    });
    found.with_context(|| format!("cargo told no program of the benchmark {name}"))
}

/// What a program said that failed, as a note has room for it: first why, then what it had measured.
pub fn one_line(stderr: &[u8], stdout: &[u8]) -> String {
    let said = [stderr, stdout].map(|said| String::from_utf8_lossy(said).into_owned());
    let lines = said.iter().flat_map(|said| said.lines()).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_load_said_is_one_line_that_begins_with_why() {
        assert_eq!(one_line(b"stuck\n\n  at 7\n", b"transfers 9\n"), "stuck; at 7; transfers 9");
    }
}
