//! Is it too late to challenge the receipt, and every challenge decided? Before that, nobody can tell yet.

use protocol::Standing;

use crate::check::{Check, Fault, Finding, Subject};

pub(crate) const CHECK: Check = Check {
    name: "window",
    needs: &["history", "certificate", "status"],
    optional: false,
    run,
    hint: "export the bundle again as of a later epoch",
};

fn run(subject: &Subject<'_>) -> Finding {
    let bundle = subject.bundle;
    let (last, now) = (bundle.inclusion.epoch.last_challenge_epoch(), bundle.as_of.epoch);
    if now < last {
        let reason = format!("can be challenged until epoch {last} ends; this bundle speaks as of epoch {now}");
        return Err(Fault::Unknown { reason, try_again_epoch: Some(last) });
    }
    match bundle.status.standing {
        Standing::Challenged => Err(Fault::Unknown {
            reason: format!("challenged, and not decided as of epoch {now}"),
            try_again_epoch: Some(now.saturating_add(1)),
        }),
        Standing::Anchored | Standing::Audited | Standing::Upheld | Standing::Refuted | Standing::Withheld => {
            Ok(format!("closed with epoch {last}; this bundle speaks as of epoch {now}"))
        }
    }
}
