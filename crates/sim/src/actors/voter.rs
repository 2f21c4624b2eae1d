//! A validator's own re-execution of challenged receipts, and its vote; or a vote against what it found.

use std::collections::BTreeMap;

use auditor::{Judgement, judge};
use crypto::Digest;
use engine::Model;
use validator::Node;

/// How long a re-execution takes. A validator that lies does not wait for its own.
const JUDGING_MS: u64 = 300;
/// A vote that the ledger does not show after this time is given again.
const AGAIN_MS: u64 = 1_500;

#[derive(Default)]
pub(crate) struct Voter {
    lies: bool,
    /// When each challenge is to be voted on next.
    due_ms: BTreeMap<Digest, u64>,
}

impl Voter {
    pub fn new(lies: bool) -> Self {
        Self { lies, due_ms: BTreeMap::new() }
    }

    /// Forgets what a crash takes away.
    pub fn crash(&mut self) {
        self.due_ms.clear();
    }

    pub fn work(&mut self, node: &Node, model: &Model, now_ms: u64) {
        let undecided = node.undecided();
        self.due_ms.retain(|receipt, _| undecided.contains(receipt));
        for receipt in undecided {
            let first = now_ms.saturating_add(if self.lies { 0 } else { JUDGING_MS });
            let due = self.due_ms.entry(receipt).or_insert(first);
            if *due > now_ms {
                continue;
            }
            *due = now_ms.saturating_add(AGAIN_MS);
            let Some(view) = node.challenge(&receipt) else { continue };
            let judged = view.opening.as_ref().map(|opening| judge(model, &view.receipt.receipt, opening));
            let refuted = match judged {
                Some(Judgement::Equal) => false,
                Some(Judgement::False(_)) => true,
                Some(Judgement::OtherOpening(_) | Judgement::NotDecidable | Judgement::CouldNotTell(_)) | None => {
                    continue;
                }
            };
            // Refused only where an earlier vote still waits in the pool.
            let _ = node.vote(receipt, refuted != self.lies);
        }
    }
}
