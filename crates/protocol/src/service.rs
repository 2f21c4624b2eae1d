//! What nodes say to each other over HTTP (`specs/interfaces.md`): jobs, answer frames, opening requests, views.

use crypto::{Digest, PublicKey, Signature, SigningKey};

use crate::{
    Amount, Milliseconds,
    bounded::{List, Text},
    canonical::{Canonical, Noun, Version},
    epoch::{Certificate, EpochRecord},
    nouns::{choice, record, words},
    receipt::{Opening, SignedReceipt},
    registry::{ReceiptStatus, Standing},
    request::{Finish, Request, Score, TENSORS_MAX, TOKENS_MAX, Tensor},
};

const JOB_DOMAIN: &str = "og/job/signature/v1";
const OPENING_REQUEST_DOMAIN: &str = "og/opening-request/signature/v1";

record! {
    /// A request as a gateway hands it to a worker.
    SignedJob { request: Request, signature: Signature, }
}

record! {
    /// One token of an answer and the text that it adds; the text may be empty while a character is incomplete. Its
    /// score is there exactly where scores were asked for.
    TokenFrame { token: u32, text: Text<4096>, score: Option<Score>, }
}

record! {
    /// The end of an answer: what was signed and what it opens to. Sent after both are durable.
    DoneFrame { receipt: SignedReceipt, opening: Opening, finish: Finish, }
}

words! {
    /// Why a worker ended a job without a receipt.
    Failure {
        /// The request can never be served: its sender should not try again.
        BadRequest = 1, "bad_request";
        UnknownModel = 2, "unknown_model";
        ContextTooLong = 3, "context_too_long";
        Unauthorised = 4, "unauthorised";
        /// Another worker, or the same one later, may serve it.
        Busy = 5, "busy";
        Internal = 6, "internal";
    }
}

record! {
    /// Why there is no answer, for the caller's eyes.
    FailedFrame { failure: Failure, message: Text<4096>, }
}

choice! {
    /// What a worker streams back: on the wire each frame stands behind its length (32 bits, big-endian).
    Frame {
        Token(TokenFrame) = 1, "token";
        Tensors(List<Tensor, TENSORS_MAX>) = 2, "tensors";
        Done(Box<DoneFrame>) = 3, "done";
        Failed(FailedFrame) = 4, "failed";
        /// The prompt's scores, before the first token, where they were asked for.
        PromptScores(List<Score, TOKENS_MAX>) = 5, "prompt_scores";
    }
}

record! {
    /// An auditor's request for a receipt's opening.
    OpeningRequest in "og/opening-request/v1" {
        version: Version<1>,
        chain_id: u64,
        receipt: Digest,
        auditor: PublicKey,
        asked_at_ms: Milliseconds,
    }
}

record! {
    SignedOpeningRequest { request: OpeningRequest, signature: Signature, }
}

record! {
    /// An epoch record with the network's signature, once there is one.
    CertifiedEpoch { record: EpochRecord, certificate: Option<Certificate>, }
}

record! {
    /// A receipt as the ledger sees it.
    ReceiptView { receipt: SignedReceipt, status: ReceiptStatus, }
}

record! {
    /// How far a gateway may owe, as of now; in base units of OPG.
    GatewayCredit {
        /// What its receipts charged and it has not paid.
        open: Amount,
        /// The most that this may be: receipts by which it would be more are not anchored.
        limit: Amount,
    }
}

record! {
    /// A verdict that changed a receipt's standing in an epoch.
    VerdictRecord in "og/verdict/v1" { receipt: Digest, standing: Standing, epoch: u64, }
}

record! {
    /// An open challenge, for validators to re-execute.
    ChallengeView {
        receipt: SignedReceipt,
        challenger: PublicKey,
        opened_epoch: u64,
        /// Absent while a withheld receipt waits for its worker's response.
        opening: Option<Opening>,
    }
}

impl Request {
    /// The job that `key`, the gateway that the request names, hands to a worker.
    pub fn into_job(self, key: &SigningKey) -> SignedJob {
        let signature = key.sign(JOB_DOMAIN, &self.digest().0);
        SignedJob { request: self, signature }
    }
}

impl SignedJob {
    /// The same job, issued at another time: nothing that decides its answer changes with that.
    pub fn issue_again(&mut self, now_ms: Milliseconds, key: &SigningKey) {
        self.request.issued_at_ms = now_ms;
        self.signature = key.sign(JOB_DOMAIN, &self.request.digest().0);
    }

    /// True only if the gateway that the request names signed it.
    pub fn signature_holds(&self) -> bool {
        self.request.gateway.verifies(JOB_DOMAIN, &self.request.digest().0, &self.signature)
    }
}

impl OpeningRequest {
    pub fn sign(self, key: &SigningKey) -> SignedOpeningRequest {
        let signature = key.sign(OPENING_REQUEST_DOMAIN, &self.encode());
        SignedOpeningRequest { request: self, signature }
    }
}

impl SignedOpeningRequest {
    pub fn signature_holds(&self) -> bool {
        self.request.auditor.verifies(OPENING_REQUEST_DOMAIN, &self.request.encode(), &self.signature)
    }
}
