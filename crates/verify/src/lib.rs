//! Bundle in, report out: whether a receipt holds, by checks that anyone can repeat offline (`specs/bundle.md`). Proof of an account in,
//! the account out, by the same trust (`specs/account-proof.md`).
//!
//! What is trusted comes from outside, as a [`Trust`]; nothing in a bundle is believed because it is in the bundle, so a
//! forged network can be refused but never held. Reads no clock, no disk, no network, no randomness: the same bundle
//! and trust give the same report on every machine. Never panics, whatever the bytes.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm
    )
)]

mod account;
mod check;
mod checks;
mod conclude;
mod report;
mod verdict;

use check::{Answer, Check, Fault, Subject};
use checks::CHECKS;
use protocol::{Bundle, Canonical as _, Trust, WrittenBundle};

pub use account::{AccountRefused, VerifiedAccount, verify_account};
pub use report::{CheckLine, Outcome, Report};
pub use verdict::{State, Verdict, Verified};

/// The version that writes a bundle whole.
const WHOLE: u16 = 1;

/// Checks `bundle` against the pinned `trust`.
pub fn verify(bundle: &Bundle, trust: &Trust) -> Report {
    judge(WHOLE, bundle, Ok(trust))
}

/// Checks what can be checked without a pinned network; the verdict is never `Held`.
pub fn verify_unpinned(bundle: &Bundle) -> Report {
    judge(WHOLE, bundle, Err("no trust file was given".to_owned()))
}

/// Checks a bundle of any version and a trust in their canonical bytes.
pub fn verify_bytes(bundle: &[u8], trust: &[u8]) -> Report {
    let bundle = WrittenBundle::decode(bundle).map_err(|error| error.to_string());
    let trust = Trust::decode(trust).map_err(|error| format!("the trust file could not be read: {error}"));
    verify_parsed(bundle, trust.as_ref().map_err(Clone::clone))
}

/// Checks what was read from elsewhere (a file, JSON), where reading may have failed: `Err` says why.
///
/// A bundle that cannot be read, or leads to no whole one, is refused; an unreadable trust pins nothing, so nobody can tell.
pub fn verify_parsed(bundle: Result<WrittenBundle, String>, trust: Result<&Trust, String>) -> Report {
    let read = bundle.and_then(|written| {
        let version = written.version();
        Ok((version, written.whole().map_err(|unfit| unfit.to_string())?))
    });
    match read {
        Ok((version, whole)) => judge(version, &whole, trust),
        Err(reason) => conclude::conclude(None, &unreadable(&reason)),
    }
}

/// The report on a bundle that was written in this version.
fn judge(version: u16, bundle: &Bundle, trust: Result<&Trust, String>) -> Report {
    let subject = Subject { version, bundle, trust };
    let answers = CHECKS.iter().fold(Vec::new(), |answers, check| ask(check, &subject, answers));
    conclude::conclude(Some(bundle), &answers)
}

/// Runs one check after the others, unless one that it needs did not pass.
fn ask(check: &'static Check, subject: &Subject<'_>, mut answers: Vec<Answer>) -> Vec<Answer> {
    let missing =
        check.needs.iter().find(|need| !answers.iter().any(|a: &Answer| a.check.name == **need && a.finding.is_ok()));
    let finding = match missing {
        Some(need) => Err(Fault::Skipped(format!("`{need}` did not pass"))),
        None => (check.run)(subject),
    };
    answers.push(Answer { check, finding });
    answers
}

/// The answers about a bundle that could not be read: the first check failed, no other ran.
fn unreadable(reason: &str) -> Vec<Answer> {
    let finding = |place| match place {
        0 => Err(Fault::Failed(reason.to_owned())),
        _ => Err(Fault::Skipped("the bundle could not be read".to_owned())),
    };
    CHECKS.iter().enumerate().map(|(place, check)| Answer { check, finding: finding(place) }).collect()
}
