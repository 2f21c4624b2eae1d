//! The receipt: what a worker signs about one answer, made to be read years later (`specs/receipt.md`).

use crypto::{Claim, Digest, PublicKey, Signature, SigningKey, hash, merkle::SumNode};

use thiserror::Error;

use crate::{
    Amount, Milliseconds, NodeId,
    bounded::List,
    canonical::{Canonical, Noun, Version},
    nouns::record,
    payment::{Paid, Payment, ShownPayer},
    price::{Quote, Usage},
    request::{
        Assurance, Finish, Output, PARENTS_MAX, Privacy, Request, Sampling, StreamHead, TOKENS_MAX, output_commitment,
        prompt_commitment, request_commitment,
    },
};

const SIGNATURE_DOMAIN: &str = "og/receipt/signature/v1";
/// The `spec_version` of answers that no exact arithmetic gave.
pub const NO_EXACT_FORM: u16 = 0;

record! {
    /// What a worker says about one answer. Its digest is the receipt's id.
    Receipt in "og/receipt/v1" {
        version: Version<1>,
        /// Version of the exact arithmetic that the answer was computed by; `NO_EXACT_FORM` where a float runtime gave it.
        spec_version: u16,
        chain_id: u64,
        request: Digest,
        prompt: Digest,
        output: Digest,
        model: Digest,
        parameters: Sampling,
        template_time_ms: Milliseconds,
        finish: Finish,
        prompt_tokens: u32,
        output_tokens: u32,
        /// Head of the hash chain over the stream.
        stream_head: Digest,
        worker: NodeId,
        worker_key: PublicKey,
        /// The epoch since which the registry holds the key for this worker.
        key_valid_from: u64,
        gateway: PublicKey,
        /// Counts this worker's receipts from zero: a withheld one leaves a gap.
        sequence: u64,
        /// The id of this worker's receipt before; zero for the first.
        previous: Digest,
        assurance: Assurance,
        privacy: Privacy,
        received_at_ms: Milliseconds,
        finished_at_ms: Milliseconds,
        parents: List<Digest, PARENTS_MAX>,
        /// What covers the answer and by which terms; absent where it cost nothing.
        payment: Option<Paid>,
        /// What the answer is charged, in base units of OPG.
        charge: Amount,
        nonce: Digest,
    }
}

record! {
    /// A receipt with its worker's signature.
    SignedReceipt {
        receipt: Receipt,
        signature: Signature,
    }
}

record! {
    /// What the receipt's commitments hide. The caller keeps it; an auditor may ask for it.
    Opening in "og/opening/v1" {
        request: Request,
        request_salt: Digest,
        prompt: List<u32, TOKENS_MAX>,
        prompt_salt: Digest,
        output: Output,
        output_salt: Digest,
    }
}

impl Receipt {
    pub fn id(&self) -> Digest {
        self.digest()
    }

    /// Whether somebody can run the model again and compare bits.
    pub fn is_exact(&self) -> bool {
        self.spec_version != NO_EXACT_FORM
    }

    /// The tokens that the receipt proves.
    pub fn usage(&self) -> Usage {
        Usage { input: u64::from(self.prompt_tokens), output: u64::from(self.output_tokens) }
    }

    /// The receipt with what `request` says of its payment, and the charge that follows from the tokens.
    #[must_use]
    pub fn billed(mut self, request: &Request) -> Self {
        if let Some(payment) = &request.payment {
            let (paid, charge) = payment.paid(request.privacy, self.usage());
            (self.payment, self.charge) = (Some(paid), charge);
        }
        self
    }

    /// What the receipt charges, in the payer's asset and in OPG.
    pub fn charged(&self) -> Quote {
        Quote { amount: self.payment.as_ref().map_or(0, |paid| paid.amount), opg: self.charge }
    }

    /// Whether the receipt charges what its terms and token counts give, and shows of its payer what its privacy says.
    pub fn check_charge(&self) -> Result<(), ChargeFault> {
        let (found, expected) = (self.charged(), self.owed());
        if found != expected {
            return Err(ChargeFault::Amount { found, expected });
        }
        let shown = self.payment.as_ref().map(|paid| paid.paid_by.privacy());
        match shown.filter(|shown| *shown != self.privacy) {
            Some(found) => Err(ChargeFault::Shown { found, expected: self.privacy }),
            None => Ok(()),
        }
    }

    /// What it must charge by its own terms and token counts: nothing where no payment covers it.
    pub fn owed(&self) -> Quote {
        self.payment.as_ref().map_or(Quote::ZERO, |paid| paid.terms.charge(self.usage()))
    }

    /// The receipt's leaf in the tree of the epoch that anchors it: its id, and its charge as the amount.
    pub fn leaf(&self) -> SumNode {
        SumNode::leaf(&self.id(), self.charge)
    }

    pub fn sign(self, key: &SigningKey) -> SignedReceipt {
        let signature = key.sign(SIGNATURE_DOMAIN, &self.encode());
        SignedReceipt { receipt: self, signature }
    }
}

impl ShownPayer {
    /// The privacy that shows as much.
    pub const fn privacy(&self) -> Privacy {
        match self {
            Self::Private(_) => Privacy::Private,
            Self::Hashed(_) => Privacy::Hashed,
            Self::Full(_) => Privacy::Full,
        }
    }
}

impl Payment {
    pub fn shown(&self, privacy: Privacy) -> ShownPayer {
        match privacy {
            Privacy::Private => ShownPayer::Private(self.payer.commitment(&self.salt)),
            Privacy::Hashed => ShownPayer::Hashed(self.payer.purse),
            Privacy::Full => ShownPayer::Full(self.payer),
        }
    }

    /// What the receipt of a request shows that used so much, and its charge in OPG.
    pub fn paid(&self, privacy: Privacy, usage: Usage) -> (Paid, u128) {
        let charge = self.terms.charge(usage);
        (Paid { paid_by: self.shown(privacy), terms: self.terms, amount: charge.amount }, charge.opg)
    }
}

impl SignedReceipt {
    /// True only if the key that the receipt names signed it.
    pub fn signature_holds(&self) -> bool {
        self.claim().holds()
    }

    /// What its signature claims, to be checked among others.
    pub fn claim(&self) -> Claim {
        self.identified().1
    }

    /// The receipt's id and what its signature claims, by one encoding.
    pub fn identified(&self) -> (Digest, Claim) {
        self.identified_by(&self.receipt.encode())
    }

    /// The same where the receipt's canonical bytes are at hand.
    pub(crate) fn identified_by(&self, bytes: &[u8]) -> (Digest, Claim) {
        let claim = Claim::new(&self.receipt.worker_key, SIGNATURE_DOMAIN, bytes, &self.signature);
        (hash(Receipt::DOMAIN, &[bytes]), claim)
    }
}

/// Why a receipt's charge cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChargeFault {
    #[error(
        "the receipt charges {} ({} OPG units), {} ({}) follow from its terms and tokens",
        found.amount, found.opg, expected.amount, expected.opg
    )]
    Amount { found: Quote, expected: Quote },
    #[error("the receipt shows its payer as a {found} one does, and is {expected}")]
    Shown { found: Privacy, expected: Privacy },
}

/// What an opening and a receipt disagree about: the receipt's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch(pub &'static str);

impl Opening {
    /// Compares the opening with every field of the receipt that it determines; the first difference is named.
    pub fn matches(&self, receipt: &Receipt) -> Result<(), Mismatch> {
        let commitment = request_commitment(&self.request_salt, &self.request);
        let same = [
            ("chain_id", self.request.chain_id == receipt.chain_id),
            ("request", commitment == receipt.request),
            ("prompt", prompt_commitment(&self.prompt_salt, &self.prompt) == receipt.prompt),
            ("output", output_commitment(&self.output_salt, &self.output) == receipt.output),
            ("model", self.request.model == receipt.model),
            ("parameters", Sampling::from(&self.request.parameters) == receipt.parameters),
            ("template_time_ms", self.request.template_time_ms == receipt.template_time_ms),
            ("prompt_tokens", u32::try_from(self.prompt.len()) == Ok(receipt.prompt_tokens)),
            ("output_tokens", u32::try_from(self.output.tokens()) == Ok(receipt.output_tokens)),
            ("stream_head", StreamHead::start(&commitment).after(&self.output).0 == receipt.stream_head),
            ("gateway", self.request.gateway == receipt.gateway),
            ("assurance", self.request.assurance == receipt.assurance),
            ("privacy", self.request.privacy == receipt.privacy),
            ("parents", self.request.parents == receipt.parents),
            ("payment", self.shows_the_payment(receipt)),
            ("charge", receipt.charged() == receipt.owed()),
            ("nonce", self.request.nonce == receipt.nonce),
        ];
        same.iter().find(|(_, equal)| !equal).map_or(Ok(()), |(field, _)| Err(Mismatch(field)))
    }

    /// True only if the receipt shows of the request's payment exactly what the request's privacy says.
    fn shows_the_payment(&self, receipt: &Receipt) -> bool {
        match (&self.request.payment, &receipt.payment) {
            (None, None) => true,
            (Some(payment), Some(paid)) => {
                payment.terms == paid.terms && payment.shown(self.request.privacy) == paid.paid_by
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}
