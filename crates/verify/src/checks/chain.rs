//! Is everything in the bundle about the chain that the trust pins? A receipt from another chain is refused here.

use crate::check::{Check, Fault, Finding, Subject, ensure, same};

pub(crate) const CHECK: Check = Check {
    name: "chain",
    needs: &[],
    optional: false,
    run,
    hint: "pin the trust file of the network that made the receipt, from a source other than the bundle",
};

fn run(subject: &Subject<'_>) -> Finding {
    let bundle = subject.bundle;
    if let Ok(trust) = &subject.trust {
        let (found, expected) = (bundle.chain_id, trust.chain_id);
        ensure(found == expected, || {
            format!(
                "chain_id: a receipt from another chain: {found} found, {expected} (`{}`) expected",
                &*trust.network
            )
        })?;
    }
    same("receipt.receipt.chain_id", &bundle.receipt.receipt.chain_id, &bundle.chain_id)?;
    same("inclusion.epoch.chain_id", &bundle.inclusion.epoch.chain_id, &bundle.chain_id)?;
    same("as_of.chain_id", &bundle.as_of.chain_id, &bundle.chain_id)?;
    if let Some(opening) = &bundle.opening {
        same("opening.request.chain_id", &opening.request.chain_id, &bundle.chain_id)?;
    }
    match &subject.trust {
        Ok(trust) => Ok(format!("{} ({}), as pinned", trust.chain_id, &*trust.network)),
        Err(reason) => {
            let reason = format!("chain {} is not pinned: {reason}", bundle.chain_id);
            Err(Fault::Unknown { reason, try_again_epoch: None })
        }
    }
}
