//! What people read: errors with their hints, lines of fixed width.

use std::io::{self, Write as _};

use anyhow::Error;

/// Writes an error and its causes to standard error; every "hint:" gets a line of its own.
pub fn complain(error: &Error) {
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
    eprintln!("error: {}", parts.join(": "));
    hints.iter().for_each(|hint| eprintln!("hint: {hint}"));
}

/// A note to whoever watches.
pub fn tell(message: &str) {
    eprintln!("{message}");
}

/// Data. Where the reader has left, nobody misses it.
pub fn put(line: &str) {
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tell(&format!("error: failed to write to standard output: {error}"));
        std::process::exit(1);
    }
}

/// Data that is no line: an answer as it comes.
pub fn put_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Columns of fixed width, the last one open.
pub fn row(cells: &[(&str, usize)]) -> String {
    let padded: Vec<String> = cells.iter().map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}
