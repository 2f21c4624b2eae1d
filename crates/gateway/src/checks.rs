//! Whether a worker's final frame is the truth about what was asked and what was streamed: pure, first lie named.

use protocol::{
    Finish, KeyRecord, Milliseconds, NodeId, Output, Request, Role, Tensor,
    receipt::Mismatch,
    registry::{ModelKind, OPEN_END},
    request::Score,
    service::DoneFrame,
};
use thiserror::Error;

/// How far a worker's clock may stand from ours.
const CLOCK_SKEW_MS_MAX: Milliseconds = 60_000;

/// What a worker's final frame was caught at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Lie {
    #[error("the receipt's signature does not hold")]
    Signature,
    #[error("the receipt names another worker")]
    Worker,
    #[error("the receipt's key is not registered for this worker")]
    Key,
    #[error("the opening is of another request")]
    Request,
    #[error("the opening and the receipt differ in `{}`", .0.0)]
    Opening(Mismatch),
    #[error("the opened output is not what was streamed")]
    Output,
    #[error("the text is not what its tokens say")]
    Text,
    #[error("the answer's end does not fit its kind")]
    Finish,
    #[error("the receipt's times are impossible")]
    Times,
    #[error("the receipt is of another form than the model")]
    Form,
}

/// What the gateway knows for itself about an answer.
pub struct Witnessed<'a> {
    pub request: &'a Request,
    /// What the ledger says of the model.
    pub kind: ModelKind,
    /// The worker that was asked, and the ledger's record of the key that its receipt names.
    pub worker: NodeId,
    pub key: &'a KeyRecord,
    pub tokens: &'a [u32],
    /// As long as `tokens` where scores were asked for, else empty.
    pub scores: &'a [Score],
    pub prompt_scores: &'a [Score],
    pub tensors: Option<&'a [Tensor]>,
    pub now_ms: Milliseconds,
}

impl Witnessed<'_> {
    /// Compares a final frame with everything that was witnessed.
    pub fn check(&self, done: &DoneFrame) -> Result<(), Lie> {
        let receipt = &done.receipt.receipt;
        let truths = [
            (done.receipt.signature_holds(), Lie::Signature),
            (receipt.worker == self.worker, Lie::Worker),
            (self.key_holds(done), Lie::Key),
            (done.opening.request == *self.request, Lie::Request),
        ];
        truths.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, lie)| Err(lie))?;
        done.opening.matches(receipt).map_err(Lie::Opening)?;
        let truths = [
            (self.is_what_was_streamed(&done.opening.output), Lie::Output),
            (self.ends_well(done), Lie::Finish),
            (receipt.is_exact() == (self.kind == ModelKind::Exact), Lie::Form),
            (self.times_hold(receipt.received_at_ms, receipt.finished_at_ms), Lie::Times),
        ];
        truths.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, lie)| Err(lie))
    }

    fn key_holds(&self, done: &DoneFrame) -> bool {
        let receipt = &done.receipt.receipt;
        self.key.key == receipt.worker_key
            && self.key.node == self.worker
            && self.key.role == Role::Worker
            && self.key.valid_from == receipt.key_valid_from
            && self.key.valid_until == OPEN_END
    }

    fn is_what_was_streamed(&self, output: &Output) -> bool {
        let is_scored = self.request.parameters.scores > 0;
        match (output, self.tensors) {
            (Output::Tokens(tokens), None) => tokens[..] == *self.tokens && !is_scored,
            (Output::Scored(scored), None) => {
                let pairs = self.tokens.iter().zip(self.scores);
                is_scored
                    && scored.prompt[..] == *self.prompt_scores
                    && self.scores.len() == self.tokens.len()
                    && scored.tokens.iter().map(|token| (&token.token, &token.score)).eq(pairs)
            }
            (Output::Tensors(tensors), Some(streamed)) => tensors[..] == *streamed && self.tokens.is_empty(),
            (Output::Tokens(_) | Output::Scored(_), Some(_)) | (Output::Tensors(_), None) => false,
        }
    }

    fn ends_well(&self, done: &DoneFrame) -> bool {
        let fits = match done.finish {
            Finish::Stop | Finish::Length => self.tensors.is_none(),
            Finish::Complete => self.tensors.is_some(),
            // Nobody cancelled: we are still here.
            Finish::Cancelled => false,
        };
        fits && done.finish == done.receipt.receipt.finish
    }

    fn times_hold(&self, received: Milliseconds, finished: Milliseconds) -> bool {
        received <= finished
            && received.saturating_add(CLOCK_SKEW_MS_MAX) >= self.request.issued_at_ms
            && finished <= self.now_ms.saturating_add(CLOCK_SKEW_MS_MAX)
    }
}
