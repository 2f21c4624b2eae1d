//! From answers to a report: the first failed check decides, then the first unknown one; held is what is left.

use protocol::Bundle;

use crate::{
    check::{Answer, Check, Fault, Finding},
    report::{CheckLine, Outcome, Report},
    verdict::{State, Verdict, Verified},
};

pub(crate) fn conclude(bundle: Option<&Bundle>, answers: &[Answer]) -> Report {
    let state = bundle.and_then(|bundle| state(bundle, answers));
    let (verdict, decisive) = decide(bundle, state, answers);
    Report {
        receipt: bundle.map(|bundle| bundle.receipt.receipt.id()),
        as_of_epoch: bundle.map(|bundle| bundle.as_of.epoch),
        state,
        checks: answers.iter().map(line).collect(),
        verdict,
        hint: decisive.map(|check| check.hint),
    }
}

/// The verdict, and the check that stood against the receipt.
fn decide(bundle: Option<&Bundle>, state: Option<State>, answers: &[Answer]) -> (Verdict, Option<&'static Check>) {
    let failed = answers.iter().find_map(|answer| match &answer.finding {
        Err(Fault::Failed(reason)) => Some((answer.check, reason)),
        Ok(_) | Err(Fault::Skipped(_) | Fault::Unknown { .. }) => None,
    });
    if let Some((check, reason)) = failed {
        return (Verdict::Refused { check: check.name, reason: reason.clone() }, Some(check));
    }
    let unknown = answers.iter().find_map(|answer| match &answer.finding {
        Err(Fault::Unknown { reason, try_again_epoch }) => Some((answer.check, reason, *try_again_epoch)),
        Ok(_) | Err(Fault::Failed(_) | Fault::Skipped(_)) => None,
    });
    if let Some((check, reason, try_again_epoch)) = unknown {
        let verdict = Verdict::CouldNotTell { check: check.name, reason: reason.clone(), try_again_epoch };
        return (verdict, Some(check));
    }
    match (bundle, state, answers.iter().find(|answer| !is_satisfied(answer))) {
        (Some(bundle), Some(state), None) => {
            (Verdict::Held(Verified::new(bundle.receipt.receipt.id(), state, bundle.as_of.epoch)), None)
        }
        (_, _, open) => {
            let (check, name) = (open.map(|answer| answer.check), open.map_or("format", |answer| answer.check.name));
            let reason = "it was not checked".to_owned();
            (Verdict::CouldNotTell { check: name, reason, try_again_epoch: None }, check)
        }
    }
}

/// Where the receipt stands, if the standing was read and nothing before it spoke against the bundle.
fn state(bundle: &Bundle, answers: &[Answer]) -> Option<State> {
    let standing = answers.iter().position(|answer| answer.check.name == "standing")?;
    let (before, after) = answers.split_at_checked(standing)?;
    let was_read = after.first().is_some_and(|answer| !matches!(answer.finding, Err(Fault::Skipped(_))));
    let status = &bundle.status;
    (was_read && before.iter().all(is_satisfied)).then(|| State {
        standing: status.standing,
        audits: status.audits,
        is_final: after.iter().all(|answer| answer.finding.is_ok()),
    })
}

fn is_satisfied(answer: &Answer) -> bool {
    match &answer.finding {
        Ok(_) => true,
        Err(Fault::Skipped(_)) => answer.check.optional,
        Err(Fault::Failed(_) | Fault::Unknown { .. }) => false,
    }
}

fn line(answer: &Answer) -> CheckLine {
    let (outcome, detail) = outcome(&answer.finding);
    CheckLine { name: answer.check.name, outcome, detail }
}

fn outcome(finding: &Finding) -> (Outcome, String) {
    match finding {
        Ok(detail) => (Outcome::Passed, detail.clone()),
        Err(Fault::Failed(reason)) => (Outcome::Failed(reason.clone()), String::new()),
        Err(Fault::Skipped(reason)) => (Outcome::Skipped(reason.clone()), String::new()),
        Err(Fault::Unknown { reason, .. }) => (Outcome::Unknown(reason.clone()), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CHECKS;

    fn verdict(findings: impl Fn(&Check) -> Finding) -> Verdict {
        let answers: Vec<_> = CHECKS.iter().map(|check| Answer { check, finding: findings(check) }).collect();
        conclude(None, &answers).verdict
    }

    fn unknown() -> Finding {
        Err(Fault::Unknown { reason: "later".to_owned(), try_again_epoch: None })
    }

    #[test]
    fn a_failure_decides_over_every_doubt_and_the_first_of_each_is_named() {
        let both = verdict(|check| match check.name {
            "chain" | "window" => unknown(),
            "key" | "status" => Err(Fault::Failed("no".to_owned())),
            _ => Ok(String::new()),
        });
        assert!(matches!(both, Verdict::Refused { check: "key", .. }));
        let doubts =
            verdict(|check| if matches!(check.name, "chain" | "window") { unknown() } else { Ok(String::new()) });
        assert!(matches!(doubts, Verdict::CouldNotTell { check: "chain", .. }));
    }

    #[test]
    fn a_check_that_was_skipped_without_leave_is_never_held() {
        let skipped = |check: &Check| match check.name {
            "history" => Err(Fault::Skipped("forgotten".to_owned())),
            _ => Ok(String::new()),
        };
        assert!(matches!(verdict(skipped), Verdict::CouldNotTell { check: "history", .. }));
    }

    #[test]
    fn nothing_is_held_without_a_bundle() {
        assert!(matches!(verdict(|_| Ok(String::new())), Verdict::CouldNotTell { .. }));
    }
}
