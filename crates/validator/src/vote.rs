//! Has challenged receipts re-executed and votes: what the validator's own judges computed, nobody's word.
//!
//! Several are judged at once: one that takes long, or that cannot be judged, keeps none of the others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use auditor::{Judges, Opinion};
use protocol::{Digest, service::ChallengeView};
use tokio::task::{AbortHandle, JoinSet};

use crate::node::Node;

/// Looks again at least this often: a model may have been out of reach.
const POLL: Duration = Duration::from_millis(500);
/// Looks after which what did not come to anything is tried again: a vote may have been lost on its way, a model may be
/// within reach by now.
const AGAIN: u8 = 8;

/// How far this validator is with a challenge.
enum Case {
    Judging(AbortHandle),
    /// So many looks ago there was no opinion, or a vote was sent.
    Waiting {
        refuted: Option<bool>,
        looks: u8,
    },
    /// It could not be judged here, and will not be: said once, and no vote.
    GivenUp,
}

impl Drop for Case {
    /// What is decided, or has lapsed, is judged no further.
    fn drop(&mut self) {
        if let Self::Judging(judging) = self {
            judging.abort();
        }
    }
}

/// What judging came to.
enum Said {
    Vote {
        refuted: bool,
    },
    /// Nothing, for now.
    Nothing,
    Never,
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
                let Ok((receipt, said)) = judged else { continue };
                if let Some(case) = cases.get_mut(&receipt) {
                    *case = match said {
                        Said::Vote { refuted } => Case::Waiting { refuted: Some(refuted), looks: 0 },
                        Said::Nothing => Case::Waiting { refuted: None, looks: 0 },
                        Said::Never => Case::GivenUp,
                    };
                    if let Said::Vote { refuted } = said {
                        vote(&node, receipt, refuted);
                    }
                }
                continue;
            }
        }
        let undecided = node.undecided();
        cases.retain(|receipt, _| undecided.contains(receipt));
        for receipt in undecided {
            match cases.get_mut(&receipt) {
                Some(Case::Judging(_) | Case::GivenUp) => continue,
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
            let Some(view) = node.challenge(&receipt) else { continue };
            let judges = judges.clone();
            let handle = judging.spawn(async move { (receipt, judged(&judges, view).await) });
            cases.insert(receipt, Case::Judging(handle));
        }
    }
}

fn vote(node: &Node, receipt: Digest, refuted: bool) {
    match node.vote(receipt, refuted) {
        Ok(_) => tracing::info!(%receipt, refuted, "voted"),
        Err(error) => tracing::warn!(%receipt, %error, "failed to vote"),
    }
}

/// What our own re-execution says.
async fn judged(judges: &Judges, view: ChallengeView) -> Said {
    let receipt = view.receipt.receipt;
    let Some(opening) = view.opening else { return Said::Nothing };
    match judges.judge(&receipt, &opening).await {
        Ok(Opinion::Equal) => Said::Vote { refuted: false },
        Ok(Opinion::False) => Said::Vote { refuted: true },
        Ok(Opinion::OtherOpening(_) | Opinion::NotDecidable) => Said::Nothing,
        Ok(Opinion::CouldNotTell(cause)) => {
            tracing::warn!(receipt = %receipt.id(), cause, "could not judge");
            Said::Nothing
        }
        Err(error) if error.is_final() => {
            tracing::error!(receipt = %receipt.id(), %error, "could not be judged, hence no vote");
            Said::Never
        }
        Err(error) => {
            tracing::warn!(receipt = %receipt.id(), %error, "no opinion, hence no vote");
            Said::Nothing
        }
    }
}
