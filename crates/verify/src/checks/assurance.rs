//! Does the bundle show what the receipt's assurance level claims?
//!
//! `audited` claims that auditors could sample the receipt, not that one did: how often it was re-executed is said
//! here and in the state. Levels whose evidence no version of the bundle carries are not believed without it.

use protocol::Assurance;

use crate::check::{Check, Fault, Finding, Subject};

pub(crate) const CHECK: Check = Check {
    name: "assurance",
    needs: &["certificate", "status"],
    optional: false,
    run,
    hint: "use a verifier and a bundle version that know the evidence of this level",
};

/// No auditor, quorum or proof can speak of an answer whose bits nobody can compute again.
fn of_floats(level: Assurance) -> Finding {
    match level {
        Assurance::Signed => {
            Ok("signed: a staked worker's word; a float model's answer, which nobody can re-execute".into())
        }
        Assurance::Attested => {
            let reason = "attested is claimed, and no version of the bundle carries evidence of that".to_owned();
            Err(Fault::Unknown { reason, try_again_epoch: None })
        }
        Assurance::Audited | Assurance::Quorum | Assurance::Proven => {
            Err(Fault::Failed(format!("{level} is claimed of a float model's answer, which can at most be attested")))
        }
    }
}

fn run(subject: &Subject<'_>) -> Finding {
    let audits = subject.bundle.status.audits;
    let receipt = &subject.bundle.receipt.receipt;
    if !receipt.is_exact() {
        return of_floats(receipt.assurance);
    }
    match receipt.assurance {
        Assurance::Signed => Ok("signed: a staked worker's word".to_owned()),
        Assurance::Audited if audits == 0 => {
            Ok("audited: open to sampling, re-executed by no auditor so far".to_owned())
        }
        Assurance::Audited => Ok(format!("audited: re-executed with the same bits (auditors: {audits})")),
        level @ (Assurance::Attested | Assurance::Quorum | Assurance::Proven) => {
            let reason = format!("{level} is claimed, and no version of the bundle carries evidence of that");
            Err(Fault::Unknown { reason, try_again_epoch: None })
        }
    }
}
