//! One step of a verb: a child process with a name, its output passed through, its time and outcome told.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

/// What a child process left behind.
pub struct Outcome {
    pub succeeded: bool,
    /// Everything that it wrote, standard error included, line by line as it came.
    pub output: String,
}

/// Runs `command` with its output shown as it comes; true if it succeeded.
pub fn run(name: &str, command: &mut Command) -> Result<bool> {
    let started = open(name);
    let status = command.stdin(Stdio::null()).status().with_context(|| failed_to_start(command))?;
    close(name, started, status.success());
    Ok(status.success())
}

/// As `run`, and keeps what was shown.
pub fn run_and_read(name: &str, command: &mut Command) -> Result<Outcome> {
    let started = open(name);
    let outcome = tee(command)?;
    close(name, started, outcome.succeeded);
    Ok(outcome)
}

/// Says that the step called `name` begins; hand the result to `close`.
pub fn open(name: &str) -> Instant {
    eprintln!("── {name}");
    Instant::now()
}

/// Says how the step went and how long it took.
pub fn close(name: &str, started: Instant, succeeded: bool) {
    let verdict = if succeeded { "ok" } else { "FAILED" };
    eprintln!("── {name}: {verdict} in {:.1} s", started.elapsed().as_secs_f64());
}

fn failed_to_start(command: &Command) -> String {
    format!("failed to start {}", command.get_program().to_string_lossy())
}

fn tee(command: &mut Command) -> Result<Outcome> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| failed_to_start(command))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let reader = std::thread::spawn(move || err.map(|pipe| copy(pipe, std::io::stderr())).unwrap_or_default());
    let mut output = out.map(|pipe| copy(pipe, std::io::stderr())).unwrap_or_default();
    output.push_str(&reader.join().unwrap_or_default());
    let status = child.wait().context("failed to wait for a child process")?;
    Ok(Outcome { succeeded: status.success(), output })
}

/// A child's bytes need not be UTF-8, and a reader that stops early would block the child: so read all of it, leniently.
fn copy(pipe: impl Read, mut screen: impl Write) -> String {
    let mut reader = BufReader::new(pipe);
    let mut kept = String::new();
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
        // A closed screen is no reason to lose the child's outcome.
        let _shown = screen.write_all(&line);
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_kept_and_failure_is_told() {
        let outcome = tee(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert!(!outcome.succeeded);
        assert_eq!(outcome.output, "out\nerr\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run("nothing", &mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("no-such-program"));
    }
}
