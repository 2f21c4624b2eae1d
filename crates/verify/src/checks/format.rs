//! Is it a bundle of a version that this verifier knows, and does it lead to a whole one? Reading has answered that: here it is only said.

use crate::check::{Check, Finding, Subject};

pub(crate) const CHECK: Check = Check {
    name: "format",
    needs: &[],
    optional: false,
    run,
    hint: "export the bundle again, or use a verifier that knows its version",
};

fn run(subject: &Subject<'_>) -> Finding {
    let (version, spec) = (subject.version, subject.bundle.receipt.receipt.spec_version);
    Ok(format!("bundle version {version}, receipt version 1, exact arithmetic version {spec}"))
}
