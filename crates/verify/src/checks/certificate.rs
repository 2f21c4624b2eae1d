//! Did a quorum of the pinned network sign the epoch that the bundle speaks as of, or did one whose key the pinned one leads to?

use protocol::{Certificate, CertifiedRotation, EpochRecord, NetworkKeys, Trust};

use crate::check::{Check, Fault, Finding, Subject};

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
    vouched(trust, &bundle.rotations, &bundle.certificate, &bundle.as_of).map_err(Fault::Failed)
}

/// By which key of the pinned network a record is signed, or why by none.
pub(crate) fn vouched(
    trust: &Trust,
    rotations: &[CertifiedRotation],
    certificate: &Certificate,
    record: &EpochRecord,
) -> Result<String, String> {
    let (found, epoch) = (certificate.epoch, record.epoch);
    if found != epoch {
        return Err(format!("certificate.epoch: {found} found, {epoch} expected"));
    }
    let keys = NetworkKeys::follow(trust.chain_id, trust.network_key, rotations)
        .map_err(|refused| format!("the pinned key is not led on: {refused}"))?;
    let failed = || match keys.followed() {
        0 => format!("epoch {epoch} is not signed by the pinned key of network `{}`", &*trust.network),
        count => format!(
            "epoch {epoch} is signed by neither of the last two keys that {count} rotations lead to from the pinned one of network `{}`",
            &*trust.network
        ),
    };
    let key = keys.certifies(certificate, record).ok_or_else(failed)?;
    Ok(match keys.all().position(|known| known == key) {
        None | Some(0) => format!("epoch {epoch} signed by the pinned network key"),
        Some(count) => {
            format!("epoch {epoch} signed by the network key that {count} rotations lead to from the pinned one")
        }
    })
}
