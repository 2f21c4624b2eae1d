//! Does the epoch that the bundle speaks as of commit to the epoch that anchored the receipt?

use crypto::history;
use protocol::Noun as _;

use crate::check::{Check, Finding, Subject, ensure};

pub(crate) const CHECK: Check = Check {
    name: "history",
    needs: &[],
    optional: false,
    run,
    hint: "the two epochs are not of one history: export the bundle again",
};

fn run(subject: &Subject<'_>) -> Finding {
    let (anchoring, as_of) = (&subject.bundle.inclusion.epoch, &subject.bundle.as_of);
    let (early, late) = (anchoring.epoch, as_of.epoch);
    ensure(early <= late, || format!("as_of.epoch: {late} found, at least the anchoring epoch {early} expected"))?;
    if early == late {
        ensure(anchoring == as_of, || format!("two different records of epoch {late}"))?;
        ensure(subject.bundle.history.is_empty(), || "history: a path found, none expected for one epoch".to_owned())?;
        return Ok(format!("anchored in epoch {late} itself"));
    }
    let reached = history::climb(&anchoring.digest(), early, late, &subject.bundle.history);
    ensure(reached == Some(as_of.history_root), || {
        format!("epoch {early} does not lead to the history that epoch {late} commits to")
    })?;
    Ok(format!("epoch {late} commits to epoch {early}"))
}
