//! Has challenged receipts re-executed and votes: what the validator's own judges computed, nobody's word.
//!
//! Several are judged at once: one that takes long, or that cannot be judged, keeps none of the others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use auditor::{Judges, Opinion};
use protocol::{Digest, service::ChallengeView};
use tokio::task::JoinSet;

use crate::node::Node;

/// Looks again at least this often: a model may have been out of reach.
const POLL: Duration = Duration::from_millis(500);
/// Looks after which what did not come to anything is tried again: a vote may have been lost on its way, a model may be
/// within reach by now.
const AGAIN: u8 = 8;

/// How far this validator is with a challenge.
enum Case {
    Judging,
    /// So many looks ago there was no opinion, or a vote was sent.
    Waiting {
        refuted: Option<bool>,
        looks: u8,
    },
}

pub(crate) async fn follow(node: Arc<Node>, judges: Judges) {
    let mut cases = BTreeMap::<Digest, Case>::new();
    let mut judging = JoinSet::new();
    loop {
        tokio::select! {
            // A missed notice costs no more than one poll.
            _ = tokio::time::timeout(POLL, node.challenged()) => {}
            Some(judged) = judging.join_next() => {
                // A task that panicked leaves its case where it is: it would do so again.
                let Ok((receipt, refuted)) = judged else { continue };
                if let Some(case) = cases.get_mut(&receipt) {
                    *case = Case::Waiting { refuted, looks: 0 };
                    if let Some(refuted) = refuted {
                        vote(&node, receipt, refuted);
                    }
                }
                continue;
            }
        }
        let undecided = node.undecided();
        cases.retain(|receipt, _| undecided.iter().any(|view| view.receipt.receipt.id() == *receipt));
        for view in undecided {
            let receipt = view.receipt.receipt.id();
            match cases.get_mut(&receipt) {
                Some(Case::Judging) => continue,
                Some(Case::Waiting { looks, .. }) if *looks < AGAIN => {
                    *looks = looks.saturating_add(1);
                    continue;
                }
                // What it came to stays; only the vote may have been lost.
                Some(Case::Waiting { refuted: Some(refuted), looks }) => {
                    *looks = 0;
                    vote(&node, receipt, *refuted);
                    continue;
                }
                Some(Case::Waiting { refuted: None, .. }) | None => {}
            }
            cases.insert(receipt, Case::Judging);
            let judges = judges.clone();
            judging.spawn(async move { (receipt, is_false(&judges, view).await) });
        }
    }
}

fn vote(node: &Node, receipt: Digest, refuted: bool) {
    match node.vote(receipt, refuted) {
        Ok(_) => tracing::info!(%receipt, refuted, "voted"),
        Err(error) => tracing::warn!(%receipt, %error, "failed to vote"),
    }
}

/// What our own re-execution says; `None` while it cannot say anything.
async fn is_false(judges: &Judges, view: ChallengeView) -> Option<bool> {
    let receipt = view.receipt.receipt;
    let opening = view.opening?;
    match judges.judge(&receipt, &opening).await {
        Ok(Opinion::Equal) => Some(false),
        Ok(Opinion::False) => Some(true),
        Ok(Opinion::OtherOpening(_) | Opinion::NotDecidable) => None,
        Ok(Opinion::CouldNotTell(cause)) => {
            tracing::warn!(receipt = %receipt.id(), cause, "could not judge");
            None
        }
        Err(error) => {
            tracing::warn!(receipt = %receipt.id(), %error, "no opinion, hence no vote");
            None
        }
    }
}
