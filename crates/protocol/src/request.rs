//! What a caller asks for and what a worker answers: requests, parameters, messages, tensors, outputs.

use crypto::{Digest, PublicKey, hash};

use crate::{
    Milliseconds,
    bounded::{Bytes, List, Text},
    canonical::{Canonical, Noun, Version},
    nouns::{choice, record, words},
};

/// Longest content of one message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 18;
/// Most messages in one conversation.
pub const MESSAGES_MAX: usize = 1_024;
/// Largest content of one tensor, in bytes.
pub const TENSOR_BYTES_MAX: usize = 1 << 18;
/// Most tokens in one prompt or one answer.
pub const TOKENS_MAX: usize = 1 << 16;
/// Most parents of one request.
pub const PARENTS_MAX: usize = 16;
/// An opening (request, prompt, output and salts) must fit into one block with room to spare.
pub const OPENING_BYTES_MAX: usize = 1 << 19;
/// What a fixed-point parameter is counted in.
pub const MICROS: u32 = 1_000_000;

words! {
    /// How the answer is assured (DESIGN: assurance levels).
    Assurance {
        Signed = 1, "signed";
        Attested = 2, "attested";
        Audited = 3, "audited";
        Quorum = 4, "quorum";
        Proven = 5, "proven";
    }
}

words! {
    /// How much of a receipt's leaf is opened to the public.
    Privacy {
        Private = 1, "private";
        Hashed = 2, "hashed";
        Full = 3, "full";
    }
}

words! {
    /// Who speaks a message, in the words of the OpenAI chat interface.
    Speaker {
        System = 1, "system";
        User = 2, "user";
        Assistant = 3, "assistant";
        Tool = 4, "tool";
    }
}

words! {
    /// Element types of tensors, little-endian in memory and on the wire.
    Element {
        F32 = 1, "f32";
        F64 = 2, "f64";
        I8 = 3, "i8";
        U8 = 4, "u8";
        I32 = 5, "i32";
        I64 = 6, "i64";
        Bool = 7, "bool";
    }
}

words! {
    /// Why an answer ended.
    Finish {
        /// A stop token or stop text.
        Stop = 1, "stop";
        /// `max_tokens` or the model's context was used up.
        Length = 2, "length";
        /// The caller went away.
        Cancelled = 3, "cancelled";
        /// All outputs of a tensor model were computed.
        Complete = 4, "complete";
    }
}

impl Element {
    /// Size of one element in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

record! {
    /// One turn of a conversation.
    Message {
        speaker: Speaker,
        content: Text<MESSAGE_BYTES_MAX>,
    }
}

record! {
    /// A named array; `data` holds the product of `shape` elements.
    Tensor {
        name: Text<128>,
        element: Element,
        shape: List<u64, 8>,
        data: Bytes<TENSOR_BYTES_MAX>,
    }
}

choice! {
    /// What goes into a model.
    Input {
        Chat(List<Message, MESSAGES_MAX>) = 1, "chat";
        Tensors(List<Tensor, 64>) = 2, "tensors";
    }
}

choice! {
    /// What comes out of a model.
    Output {
        Tokens(List<u32, TOKENS_MAX>) = 1, "tokens";
        Tensors(List<Tensor, 64>) = 2, "tensors";
    }
}

record! {
    /// Everything besides model and input that decides the answer; fractions are counted in millionths.
    Parameters {
        max_tokens: u32,
        /// 0 is greedy.
        temperature_micros: u32,
        /// 1,000,000 keeps every token.
        top_p_micros: u32,
        /// 0 keeps every token.
        top_k: u32,
        seed: u64,
        stop: List<Text<256>, 8>,
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self { max_tokens: 256, temperature_micros: 0, top_p_micros: MICROS, top_k: 0, seed: 0, stop: List::default() }
    }
}

record! {
    /// One inference, as the receipt commits to it.
    Request in "og/request/v1" {
        version: Version<1>,
        chain_id: u64,
        /// Root of the model's manifest.
        model: Digest,
        input: Input,
        parameters: Parameters,
        assurance: Assurance,
        privacy: Privacy,
        /// The clock that the chat template may show.
        template_time_ms: Milliseconds,
        issued_at_ms: Milliseconds,
        gateway: PublicKey,
        /// Receipts that this request builds on.
        parents: List<Digest, PARENTS_MAX>,
        /// Empty, or the reference of the payment that covers this request.
        payment: Bytes<256>,
        nonce: Digest,
    }
}

/// Salted commitment to a request.
pub fn request_commitment(salt: &Digest, request: &Request) -> Digest {
    hash("og/commitment/request/v1", &[&salt.0, &request.digest().0])
}

/// Salted commitment to the rendered prompt's tokens.
pub fn prompt_commitment(salt: &Digest, prompt: &List<u32, TOKENS_MAX>) -> Digest {
    hash("og/commitment/prompt/v1", &[&salt.0, &prompt.encode()])
}

/// Salted commitment to an output.
pub fn output_commitment(salt: &Digest, output: &Output) -> Digest {
    hash("og/commitment/output/v1", &[&salt.0, &output.encode()])
}

/// Hash chain over what was streamed, so that a partial delivery can be proven: one link a token, or one link for
/// all tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead(pub Digest);

impl StreamHead {
    pub fn start(request_commitment: &Digest) -> Self {
        Self(hash("og/stream/start/v1", &[&request_commitment.0]))
    }

    #[must_use]
    pub fn token(self, token: u32) -> Self {
        Self(hash("og/stream/token/v1", &[&self.0.0, &token.to_be_bytes()]))
    }

    /// The head after all of `output`.
    #[must_use]
    pub fn after(self, output: &Output) -> Self {
        match output {
            Output::Tokens(tokens) => tokens.iter().fold(self, |head, token| head.token(*token)),
            Output::Tensors(tensors) => Self(hash("og/stream/tensors/v1", &[&self.0.0, &tensors.encode()])),
        }
    }
}
