//! What `verify` says: one line a check, in the order in which they ran, and the verdict.

use protocol::{Canonical as _, Digest, Value};

use crate::verdict::{State, Verdict};

/// A check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckLine {
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was shown, where the check passed.
    pub detail: String,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// What was found and what was expected.
    Failed(String),
    /// Why it did not run.
    Skipped(String),
    /// Why there is no answer.
    Unknown(String),
}

/// Every check in order, and the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The receipt's id; absent where the bundle could not be read.
    pub receipt: Option<Digest>,
    /// The epoch that the bundle speaks as of.
    pub as_of_epoch: Option<u64>,
    /// Where the receipt stands; absent unless everything that it rests on has been shown.
    pub state: Option<State>,
    pub checks: Vec<CheckLine>,
    pub verdict: Verdict,
    /// What a person can do about a verdict other than held.
    pub hint: Option<&'static str>,
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why the check did not pass.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Failed(reason) | Self::Skipped(reason) | Self::Unknown(reason) => Some(reason),
        }
    }
}

impl Report {
    pub fn exit_code(&self) -> u8 {
        self.verdict.exit_code()
    }

    /// The report as text, one line a check, in columns.
    pub fn lines(&self) -> Vec<String> {
        let row = |first: &str, second: &str, rest: &str| format!("{first:<9}{second:<13}{rest}");
        let mut lines = Vec::new();
        if let Some(receipt) = &self.receipt {
            lines.push(row("receipt", "", &receipt.to_string()));
        }
        lines.extend(
            self.checks
                .iter()
                .map(|check| row(check.outcome.word(), check.name, check.outcome.reason().unwrap_or(&check.detail))),
        );
        lines.push(row("verdict", "", &format!("{} (exit {})", self.verdict, self.exit_code())));
        lines.extend(self.hint.map(|hint| row("hint:", "", hint)));
        lines
    }

    /// The report as a readable value, for JSON.
    pub fn to_value(&self) -> Value {
        let (check, reason, try_again_epoch) = match &self.verdict {
            Verdict::Held(_) => (None, None, None),
            Verdict::Refused { check, reason } => (Some(*check), Some(reason.as_str()), None),
            Verdict::CouldNotTell { check, reason, try_again_epoch } => {
                (Some(*check), Some(reason.as_str()), *try_again_epoch)
            }
        };
        record([
            ("verdict", text(self.verdict.word())),
            ("exit_code", self.exit_code().to_value()),
            ("receipt", self.receipt.to_value()),
            ("state", self.state.map_or(Value::Null, |state| text(&state.to_string()))),
            ("as_of_epoch", self.as_of_epoch.to_value()),
            ("check", check.map_or(Value::Null, text)),
            ("reason", reason.map_or(Value::Null, text)),
            ("try_again_epoch", try_again_epoch.to_value()),
            ("hint", self.hint.map_or(Value::Null, text)),
            ("checks", Value::List(self.checks.iter().map(CheckLine::to_value).collect())),
        ])
    }
}

impl CheckLine {
    fn to_value(&self) -> Value {
        record([
            ("name", text(self.name)),
            ("outcome", text(self.outcome.word())),
            ("reason", self.outcome.reason().map_or(Value::Null, text)),
            ("detail", if self.detail.is_empty() { Value::Null } else { text(&self.detail) }),
        ])
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
