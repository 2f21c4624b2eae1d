//! A worker's receipts form a chain: each names the one before, so that a withheld one leaves a gap. Pure.

use crypto::{Digest, SigningKey};
use protocol::{
    Finish, NodeId, Opening, Receipt, Request, SignedReceipt, Version,
    request::{StreamHead, output_commitment, prompt_commitment, request_commitment},
};

use crate::answer::Answer;

/// Where the chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of the next receipt.
    pub sequence: u64,
    /// Id of the last one; zero before the first.
    pub previous: Digest,
}

/// Fresh randomness for one receipt's commitments.
#[derive(Clone, Copy, Debug)]
pub struct Salts {
    pub request: Digest,
    pub prompt: Digest,
    pub output: Digest,
}

/// What a receipt says besides the request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub spec_version: u16,
    pub worker: NodeId,
    pub key_valid_from: u64,
    pub received_at_ms: u64,
    pub finished_at_ms: u64,
}

impl Chain {
    /// The chain of a worker that has signed nothing yet.
    pub const START: Self = Self { sequence: 0, previous: Digest::ZERO };

    /// The chain after `receipt`.
    pub fn after(receipt: &Receipt) -> Self {
        Self { sequence: receipt.sequence.saturating_add(1), previous: receipt.id() }
    }

    /// Signs the next receipt, over `answer` to `request`.
    pub fn sign(
        self,
        key: &SigningKey,
        terms: Terms,
        salts: Salts,
        request: Request,
        answer: Answer,
    ) -> (SignedReceipt, Opening) {
        let commitment = request_commitment(&salts.request, &request);
        let receipt = Receipt {
            version: Version,
            spec_version: terms.spec_version,
            chain_id: request.chain_id,
            request: commitment,
            prompt: prompt_commitment(&salts.prompt, &answer.prompt),
            output: output_commitment(&salts.output, &answer.output),
            model: request.model,
            parameters: (&request.parameters).into(),
            template_time_ms: request.template_time_ms,
            finish: answer.finish,
            prompt_tokens: count(answer.prompt.len()),
            output_tokens: count(answer.output.tokens()),
            stream_head: StreamHead::start(&commitment).after(&answer.output).0,
            worker: terms.worker,
            worker_key: key.public_key(),
            key_valid_from: terms.key_valid_from,
            gateway: request.gateway,
            sequence: self.sequence,
            previous: self.previous,
            assurance: request.assurance,
            privacy: request.privacy,
            received_at_ms: terms.received_at_ms,
            finished_at_ms: terms.finished_at_ms.max(terms.received_at_ms),
            parents: request.parents.clone(),
            payment: None,
            charge: 0,
            nonce: request.nonce,
        }
        .billed(&request);
        let opening = Opening {
            request,
            request_salt: salts.request,
            prompt: answer.prompt,
            prompt_salt: salts.prompt,
            output: answer.output,
            output_salt: salts.output,
        };
        (receipt.sign(key), opening)
    }
}

fn count(length: usize) -> u32 {
    // Lists of tokens are limited far below 2^32.
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// True only if the answer may have a receipt: one that its reader left has none, else a worker could cut every answer
/// short and say so.
pub(crate) const fn is_complete(finish: Finish) -> bool {
    match finish {
        Finish::Stop | Finish::Length | Finish::Complete => true,
        Finish::Cancelled => false,
    }
}
