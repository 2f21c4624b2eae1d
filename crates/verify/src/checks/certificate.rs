//! Did a quorum of the pinned network sign the epoch that the bundle speaks as of?

use crate::check::{Check, Fault, Finding, Subject, ensure, same};

pub(crate) const CHECK: Check = Check {
    name: "certificate",
    needs: &["chain"],
    optional: false,
    run,
    hint: "no quorum of the pinned network vouches for this bundle: it was altered, or another network made it",
};

fn run(subject: &Subject<'_>) -> Finding {
    let bundle = subject.bundle;
    let unpinned = |reason: &String| Fault::Unknown { reason: reason.clone(), try_again_epoch: None };
    let trust = subject.trust.as_ref().map_err(unpinned)?;
    same("certificate.epoch", &bundle.certificate.epoch, &bundle.as_of.epoch)?;
    ensure(bundle.certificate.certifies(&bundle.as_of, &trust.network_key), || {
        format!("epoch {} is not signed by the pinned key of network `{}`", bundle.as_of.epoch, &*trust.network)
    })?;
    Ok(format!("epoch {} signed by the pinned network key", bundle.as_of.epoch))
}
