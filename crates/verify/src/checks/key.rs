//! Did the registry hold the signing key for this worker in the epoch that anchored the receipt?

use protocol::{Canonical as _, Role, registry::state_key};

use crate::check::{Check, Finding, Subject, ensure, same, short};

pub(crate) const CHECK: Check = Check {
    name: "key",
    needs: &[],
    optional: false,
    run,
    hint: "the key was not this worker's when the receipt was anchored: do not rely on the receipt",
};

fn run(subject: &Subject<'_>) -> Finding {
    let (bundle, receipt, record) = (subject.bundle, &subject.bundle.receipt.receipt, &subject.bundle.key);
    same("key.key", &record.key, &receipt.worker_key)?;
    same("key.node", &record.node, &receipt.worker)?;
    same("key.role", &record.role, &Role::Worker)?;
    same("key.valid_from", &record.valid_from, &receipt.key_valid_from)?;
    let place = state_key::signing_key(&record.key);
    ensure(bundle.key_proof.holds(&bundle.as_of.state_root, &place, Some(&record.encode())), || {
        format!("the key record is not in the state of epoch {}", bundle.as_of.epoch)
    })?;
    let anchoring = bundle.inclusion.epoch.epoch;
    ensure(record.is_valid_in(anchoring), || {
        let (from, until) = (record.valid_from, record.valid_until);
        format!(
            "the key counts from epoch {from} up to but not including {until}; the receipt was anchored in {anchoring}"
        )
    })?;
    Ok(format!(
        "of worker {} since epoch {}, in the state that epoch {} commits to",
        short(&record.node),
        record.valid_from,
        bundle.as_of.epoch
    ))
}
