//! Is the status the one that the ledger's state holds for this receipt?

use protocol::{Canonical as _, registry::state_key};

use crate::check::{Check, Finding, Subject, ensure, same};

pub(crate) const CHECK: Check = Check {
    name: "status",
    needs: &[],
    optional: false,
    run,
    hint: "the status is that of another receipt or another state: export the bundle again",
};

fn run(subject: &Subject<'_>) -> Finding {
    let (bundle, receipt, status) = (subject.bundle, &subject.bundle.receipt.receipt, &subject.bundle.status);
    let id = receipt.id();
    same("status.receipt", &status.receipt, &id)?;
    same("status.worker", &status.worker, &receipt.worker)?;
    same("status.epoch", &status.epoch, &bundle.inclusion.epoch.epoch)?;
    same("status.index", &status.index, &bundle.inclusion.index)?;
    let epoch = bundle.as_of.epoch;
    ensure(
        bundle.status_proof.holds(&bundle.as_of.state_root, &state_key::receipt(&id), Some(&status.encode())),
        || format!("the receipt's status is not in the state of epoch {epoch}"),
    )?;
    Ok(format!("{}, in the state that epoch {epoch} commits to", status.standing))
}
