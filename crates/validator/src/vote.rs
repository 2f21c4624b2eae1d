//! Re-executes challenged receipts and votes: what the validator itself computed, nobody's word.

use std::{sync::Arc, time::Duration};

use auditor::{Judgement, judge};
use hub::Models;
use protocol::{Digest, service::ChallengeView};

use crate::node::Node;

/// Looks again at least this often: a model may have been out of reach.
const POLL: Duration = Duration::from_millis(500);

pub(crate) async fn follow(node: Arc<Node>, models: Models) {
    let mut sent = std::collections::BTreeMap::<Digest, u8>::new();
    loop {
        // A missed notice costs no more than one poll.
        let _ = tokio::time::timeout(POLL, node.challenged()).await;
        let undecided = node.undecided();
        sent.retain(|receipt, _| undecided.iter().any(|view| view.receipt.receipt.id() == *receipt));
        for view in undecided {
            let receipt = view.receipt.receipt.id();
            // A vote is on its way for some blocks; after a while it may have been lost and is sent again.
            let looks = sent.entry(receipt).or_insert(0);
            *looks = looks.wrapping_add(1);
            if *looks % 8 == 1
                && let Some(refuted) = is_false(&models, view).await
            {
                match node.vote(receipt, refuted) {
                    Ok(_) => tracing::info!(%receipt, refuted, "voted"),
                    Err(error) => tracing::warn!(%receipt, %error, "failed to vote"),
                }
            }
        }
    }
}

/// What our own re-execution says; `None` while it cannot say anything.
async fn is_false(models: &Models, view: ChallengeView) -> Option<bool> {
    let receipt = view.receipt.receipt;
    let opening = view.opening?;
    let model = match models.get(receipt.model).await {
        Ok(model) => model,
        Err(error) => {
            tracing::warn!(receipt = %receipt.id(), %error, "cannot judge without the model");
            return None;
        }
    };
    let judging = tokio::task::spawn_blocking(move || judge(&model, &receipt, &opening));
    match judging.await.ok()? {
        Judgement::Equal => Some(false),
        Judgement::False(_) => Some(true),
        Judgement::OtherOpening(_) | Judgement::NotDecidable => None,
    }
}
