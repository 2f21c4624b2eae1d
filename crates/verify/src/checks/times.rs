//! Can the receipt's times be true, against each other and against the network's?

use crate::check::{Check, Finding, Subject, ensure};

/// How far a worker's clock may run ahead of the network's.
const CLOCK_AHEAD_MS_MAX: u64 = 60_000;

pub(crate) const CHECK: Check = Check {
    name: "times",
    needs: &[],
    optional: false,
    run,
    hint: "the worker's clock was wrong or the times are invented: do not rely on them",
};

fn run(subject: &Subject<'_>) -> Finding {
    let (receipt, epoch) = (&subject.bundle.receipt.receipt, &subject.bundle.inclusion.epoch);
    let (received, finished) = (receipt.received_at_ms, receipt.finished_at_ms);
    ensure(received <= finished, || {
        format!("finished_at_ms: {finished} found, at least received_at_ms {received} expected")
    })?;
    let latest = epoch.time_ms.saturating_add(CLOCK_AHEAD_MS_MAX);
    ensure(finished <= latest, || {
        format!(
            "finished_at_ms: {finished} found, at most {latest} expected (epoch {} ended at {})",
            epoch.epoch, epoch.time_ms
        )
    })?;
    Ok(format!("{} ms from request to answer, not after its epoch", finished.saturating_sub(received)))
}
