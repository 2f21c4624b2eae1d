//! What a check is: a question about a bundle, with a name, what it needs to have been answered before, and a hint.

use std::fmt::Display;

use protocol::{Bundle, Trust};

/// What is being verified, and against what; without a trust, why there is none.
pub(crate) struct Subject<'a> {
    /// In which the bundle was written.
    pub version: u16,
    pub bundle: &'a Bundle,
    pub trust: Result<&'a Trust, String>,
}

/// Why a check did not pass.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What was found and what was expected.
    Failed(String),
    /// Why there was nothing to check.
    Skipped(String),
    /// Why there is no answer, and the epoch from which there may be one.
    Unknown { reason: String, try_again_epoch: Option<u64> },
}

/// What was shown, in words, or why not.
pub(crate) type Finding = Result<String, Fault>;

/// A row of the table of checks.
pub(crate) struct Check {
    pub name: &'static str,
    /// Names of earlier checks without which this one has no meaning.
    pub needs: &'static [&'static str],
    /// Whether a receipt may be held although there was nothing to check.
    pub optional: bool,
    pub run: fn(&Subject<'_>) -> Finding,
    /// What a person can do when this check decides against a bundle.
    pub hint: &'static str,
}

/// A check that was asked, and what it found.
pub(crate) struct Answer {
    pub check: &'static Check,
    pub finding: Finding,
}

/// Refuses unless `found` is `expected`; `what` names the field.
pub(crate) fn same<T: PartialEq + Display>(what: &str, found: &T, expected: &T) -> Result<(), Fault> {
    if found == expected { Ok(()) } else { Err(Fault::Failed(format!("{what}: {found} found, {expected} expected"))) }
}

/// Refuses with `reason` unless `holds`.
pub(crate) fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Failed(reason())) }
}

/// The first digits of a digest or key, enough for a person to recognise it.
pub(crate) fn short(long: &impl ToString) -> String {
    long.to_string().chars().take(12).collect()
}
