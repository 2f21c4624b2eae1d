//! Was the receipt found false? Only the certified status may say so, and it decides.

use protocol::Standing;

use crate::check::{Check, Fault, Finding, Subject};

pub(crate) const CHECK: Check = Check {
    name: "standing",
    needs: &["certificate", "status"],
    optional: false,
    run,
    hint: "do not rely on this answer: its worker was slashed for it",
};

fn run(subject: &Subject<'_>) -> Finding {
    let (status, epoch) = (&subject.bundle.status, subject.bundle.as_of.epoch);
    let slashed = status.slashed;
    match status.standing {
        Standing::Anchored => Ok("nobody has disputed it".to_owned()),
        Standing::Audited => Ok("an auditor found the same bits".to_owned()),
        Standing::Challenged => Ok("challenged, not decided".to_owned()),
        Standing::Upheld => Ok("challenged, and upheld by the validators' re-execution".to_owned()),
        Standing::Refuted => Err(Fault::Failed(format!(
            "refuted: the validators' re-execution gave other bits; {slashed} base units slashed as of epoch {epoch}"
        ))),
        Standing::Withheld => Err(Fault::Failed(format!(
            "withheld: the worker did not open its receipt in time; {slashed} base units slashed as of epoch {epoch}"
        ))),
    }
}
