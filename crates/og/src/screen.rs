//! What people read: errors with their hints, lines of fixed width.

use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Error;

/// Whether data has left already.
static HAS_PUT: AtomicBool = AtomicBool::new(false);

/// Writes an error and its causes to standard error; every "hint:" gets a line of its own. Returns what it said, and the hints.
pub fn complain(error: &Error) -> (String, Option<String>) {
    let mut hints = Vec::new();
    let mut parts = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        let (message, hint) = cause.split_once("; hint: ").unwrap_or((&cause, ""));
        // Libraries repeat their causes in their own words.
        if !parts.iter().any(|part: &String| part.contains(message)) {
            parts.push(message.to_owned());
        }
        if !hint.is_empty() {
            hints.push(hint.to_owned());
        }
    }
    let message = parts.join(": ");
    eprintln!("error: {message}");
    hints.iter().for_each(|hint| eprintln!("hint: {hint}"));
    (message, Some(hints.join("; ")).filter(|hint| !hint.is_empty()))
}

/// True once data has left for standard output.
pub fn has_put() -> bool {
    HAS_PUT.load(Ordering::Relaxed)
}

/// A note to whoever watches.
pub fn tell(message: &str) {
    eprintln!("{message}");
}

/// Data. Where the reader has left, nobody misses it.
pub fn put(line: &str) {
    HAS_PUT.store(true, Ordering::Relaxed);
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tell(&format!("error: failed to write to standard output: {error}"));
        std::process::exit(1);
    }
}

/// Data that is no line: an answer as it comes.
pub fn put_bytes(bytes: &[u8]) -> io::Result<()> {
    HAS_PUT.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Columns of fixed width, the last one open.
pub fn row(cells: &[(&str, usize)]) -> String {
    let padded: Vec<String> = cells.iter().map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}
