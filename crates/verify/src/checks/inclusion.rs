//! Is the receipt, with its charge, in the tree of the epoch that is said to have anchored it?

use crypto::merkle::{self, SumNode};

use crate::check::{Check, Fault, Finding, Subject, ensure};

pub(crate) const CHECK: Check = Check {
    name: "inclusion",
    needs: &[],
    optional: false,
    run,
    hint: "the receipt, its place or its path was altered: export the bundle again",
};

fn run(subject: &Subject<'_>) -> Finding {
    let inclusion = &subject.bundle.inclusion;
    let (epoch, index) = (&inclusion.epoch, inclusion.index);
    ensure(index < epoch.receipts_count, || {
        format!("inclusion.index: {index} found, below {} expected", epoch.receipts_count)
    })?;
    let siblings: Vec<SumNode> = inclusion.path.iter().map(SumNode::from).collect();
    let reached = merkle::climb(&subject.bundle.receipt.receipt.leaf(), index, epoch.receipts_count, &siblings);
    let Some(reached) = reached else {
        let (length, count) = (siblings.len(), epoch.receipts_count);
        return Err(Fault::Failed(format!("inclusion.path: {length} steps do not fit place {index} of {count}")));
    };
    ensure(reached == SumNode { digest: epoch.receipts_root, sum: epoch.receipts_sum }, || {
        format!("the receipt does not lead to the root and sum of epoch {}", epoch.epoch)
    })?;
    Ok(format!("place {index} of {} in epoch {}", epoch.receipts_count, epoch.epoch))
}
