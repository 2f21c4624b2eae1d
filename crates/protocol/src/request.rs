//! What a caller asks for and what a worker answers: requests, parameters, messages, tensors, outputs.

use crypto::{Digest, PublicKey, hash};

use crate::{
    Milliseconds,
    bounded::{Bytes, List, Text},
    canonical::{Canonical, Noun, Version},
    nouns::{choice, record, words},
    payment::Payment,
};

/// Longest content of one message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 18;
/// Most messages in one conversation.
pub const MESSAGES_MAX: usize = 1_024;
/// Largest content of one tensor, in bytes: an image of 3 x 256 x 256 as f32, or of 3 x 512 x 512 as u8, has 786,432. What follows
/// from it, down to the block, is in `specs/evidence.md`.
pub const TENSOR_BYTES_MAX: usize = 800 << 10;
/// Most tokens in one prompt or one answer.
pub const TOKENS_MAX: usize = 1 << 16;
/// Most tensors that go into or come out of a model at once.
pub const TENSORS_MAX: usize = 64;
/// Most texts that are embedded by one request.
pub const EMBEDDED_MAX: usize = 16;
/// Longest name of a tool, of a speaker, or id of a call.
pub const NAME_BYTES_MAX: usize = 128;
/// Most tools of one request, and most calls in one message.
pub const TOOLS_MAX: usize = 128;
pub const TOOL_CALLS_MAX: usize = 128;
/// Longest description of a tool.
pub const DESCRIPTION_BYTES_MAX: usize = 1 << 14;
/// Longest JSON schema, regular expression or grammar.
pub const SCHEMA_BYTES_MAX: usize = 1 << 16;
pub const TEMPLATE_ARGUMENTS_BYTES_MAX: usize = 1 << 12;
/// Most tokens with a bias.
pub const BIASES_MAX: usize = 1_024;
/// Most alternatives to one token whose probabilities are told.
pub const ALTERNATIVES_MAX: usize = 20;
/// Most parents of one request.
pub const PARENTS_MAX: usize = 16;
/// An opening (request, prompt, output and salts) must fit into one block with room to spare.
pub const OPENING_BYTES_MAX: usize = 896 << 10;
/// What an opening has besides request, prompt and output: three salts and the counts.
pub const OPENING_REST_BYTES: usize = 128;
/// What a token, a score, and each alternative that a score names have in an opening.
pub const TOKEN_BYTES: usize = 4;
pub const SCORE_BYTES: usize = 8;
pub const ALTERNATIVE_BYTES: usize = 8;
/// Largest request: what is left of its opening, 64 KiB at least, is its answer's.
pub const REQUEST_BYTES_MAX: usize = OPENING_BYTES_MAX - (64 << 10);
/// What a fixed-point parameter is counted in.
pub const MICROS: u32 = 1_000_000;

const _: () = assert!(TENSOR_BYTES_MAX + (16 << 10) <= REQUEST_BYTES_MAX, "the largest tensor fits into a request");

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

impl Assurance {
    /// Whether the level speaks of bits that others can compute again: float models cannot have it.
    pub const fn needs_exact_form(self) -> bool {
        match self {
            Self::Signed | Self::Attested => false,
            Self::Audited | Self::Quorum | Self::Proven => true,
        }
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
        I16 = 8, "i16";
        U16 = 9, "u16";
        U32 = 10, "u32";
        U64 = 11, "u64";
        F16 = 12, "f16";
        Bf16 = 13, "bf16";
        /// Texts one after the other, each with its length in bytes (32 bits) in front.
        Text = 14, "text";
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
    /// Size of one element in bytes; of a text, of its length alone.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 | Self::U32 | Self::Text => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

record! {
    /// A call of a tool, as the model asked for it.
    ToolCall {
        /// What the tool's answer refers to.
        id: Text<NAME_BYTES_MAX>,
        name: Text<NAME_BYTES_MAX>,
        /// JSON, as the model wrote it: it may be broken.
        arguments: Text<MESSAGE_BYTES_MAX>,
    }
}

record! {
    /// One turn of a conversation.
    Message {
        speaker: Speaker,
        /// Empty beside tool calls where nothing was said.
        content: Text<MESSAGE_BYTES_MAX>,
        /// What the model thought before it spoke; templates decide whether it is shown to it again. Empty for none.
        reasoning: Text<MESSAGE_BYTES_MAX>,
        tool_calls: List<ToolCall, TOOL_CALLS_MAX>,
        /// The call that this message answers; empty for none.
        tool_call_id: Text<NAME_BYTES_MAX>,
        /// Of the speaker, or of the tool that answers; empty for none.
        name: Text<NAME_BYTES_MAX>,
    }
}

impl Message {
    /// A turn of nothing but text.
    pub fn say(speaker: Speaker, content: Text<MESSAGE_BYTES_MAX>) -> Self {
        Self {
            speaker,
            content,
            reasoning: Text::default(),
            tool_calls: List::default(),
            tool_call_id: Text::default(),
            name: Text::default(),
        }
    }
}

record! {
    /// A tool that the model may call.
    Tool {
        name: Text<NAME_BYTES_MAX>,
        /// Empty for none.
        description: Text<DESCRIPTION_BYTES_MAX>,
        /// The JSON schema of its arguments, an object; empty for none.
        parameters: Text<SCHEMA_BYTES_MAX>,
    }
}

record! {
    /// A conversation and what its template is shown beside it.
    Chat {
        messages: List<Message, MESSAGES_MAX>,
        /// Only those that the model may call now: a caller that forbids calls sends none.
        tools: List<Tool, TOOLS_MAX>,
        /// Further variables of the chat template: a JSON object, or empty.
        template_arguments: Text<TEMPLATE_ARGUMENTS_BYTES_MAX>,
    }
}

impl Chat {
    /// A conversation without tools.
    pub fn of(messages: List<Message, MESSAGES_MAX>) -> Self {
        Self { messages, tools: List::default(), template_arguments: Text::default() }
    }
}

choice! {
    /// A text as it is: no template is put around it.
    Prompt {
        /// Tokenised as the model's tokenizer does by default, with its first token in front where it has one.
        Text(Text<MESSAGE_BYTES_MAX>) = 1, "text";
        /// Exactly these tokens.
        Tokens(List<u32, TOKENS_MAX>) = 2, "tokens";
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
        Chat(Chat) = 1, "chat";
        Tensors(List<Tensor, TENSORS_MAX>) = 2, "tensors";
        /// To be continued.
        Prompt(Prompt) = 3, "prompt";
        /// Each to be embedded by itself. The opening's prompt is their tokens, one text's after another's.
        Embed(List<Prompt, EMBEDDED_MAX>) = 4, "embed";
    }
}

record! {
    /// A token that could have stood in a place, and the logarithm of its probability there.
    Alternative { token: u32, logprob_micros: i32, }
}

record! {
    /// How probable the token in a place was, in millionths of a nat, and which were the most probable ones: falling,
    /// among equals the lower token first. From the model's logits as they are, before any parameter changes them.
    Score {
        logprob_micros: i32,
        alternatives: List<Alternative, ALTERNATIVES_MAX>,
    }
}

record! {
    /// A token of an answer and its score.
    ScoredToken { token: u32, score: Score, }
}

record! {
    /// An answer with scores.
    Scored {
        /// Of the prompt's tokens from the second on, which is the first that has something before it; empty unless
        /// asked for.
        prompt: List<Score, TOKENS_MAX>,
        tokens: List<ScoredToken, TOKENS_MAX>,
    }
}

choice! {
    /// What comes out of a model.
    Output {
        Tokens(List<u32, TOKENS_MAX>) = 1, "tokens";
        /// Of a tensor model its outputs; of texts to embed one f32 tensor each, named `embedding`, in their order.
        Tensors(List<Tensor, TENSORS_MAX>) = 2, "tensors";
        /// In place of bare tokens where log-probabilities were asked for.
        Scored(Scored) = 3, "scored";
    }
}

impl Output {
    /// How many tokens the answer has.
    pub fn tokens(&self) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.len(),
            Self::Scored(scored) => scored.tokens.len(),
            Self::Tensors(_) => 0,
        }
    }
}

record! {
    /// What is added to a token's logit, in millionths.
    TokenBias { token: u32, bias_micros: i32, }
}

choice! {
    /// What an answer must look like.
    Constraint {
        /// A JSON schema.
        JsonSchema(Text<SCHEMA_BYTES_MAX>) = 1, "json_schema";
        /// A regular expression that the whole answer matches.
        Regex(Text<SCHEMA_BYTES_MAX>) = 2, "regex";
        /// A grammar in Lark's notation.
        Grammar(Text<SCHEMA_BYTES_MAX>) = 3, "grammar";
    }
}

record! {
    /// Everything besides model and input that decides the answer; fractions are counted in millionths.
    Parameters {
        /// May be 0 where only the prompt's scores are wanted.
        max_tokens: u32,
        /// 0 is greedy.
        temperature_micros: u32,
        /// 1,000,000 keeps every token.
        top_p_micros: u32,
        /// 0 keeps every token.
        top_k: u32,
        /// Share of the most probable token's probability that a token must have; 0 keeps every token.
        min_p_micros: u32,
        /// 1,000,000 changes nothing.
        repetition_penalty_micros: u32,
        /// From -2,000,000 to 2,000,000.
        presence_penalty_micros: i32,
        frequency_penalty_micros: i32,
        /// Strictly rising by token.
        logit_bias: List<TokenBias, BIASES_MAX>,
        seed: u64,
        stop: List<Text<256>, 8>,
        constraint: Option<Constraint>,
        /// 0 for no scores; 1 for the score of each token of the answer; 1 + k for that and the k most probable ones.
        scores: u8,
        /// The prompt's tokens are scored as well.
        prompt_scores: bool,
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            temperature_micros: 0,
            top_p_micros: MICROS,
            top_k: 0,
            min_p_micros: 0,
            repetition_penalty_micros: MICROS,
            presence_penalty_micros: 0,
            frequency_penalty_micros: 0,
            logit_bias: List::default(),
            seed: 0,
            stop: List::default(),
            constraint: None,
            scores: 0,
            prompt_scores: false,
        }
    }
}

record! {
    /// The numbers among the parameters, which the receipt shows. What may hold a caller's words (stop texts, biases, a
    /// constraint) is only committed to.
    Sampling {
        max_tokens: u32,
        temperature_micros: u32,
        top_p_micros: u32,
        top_k: u32,
        min_p_micros: u32,
        repetition_penalty_micros: u32,
        presence_penalty_micros: i32,
        frequency_penalty_micros: i32,
        seed: u64,
        scores: u8,
        prompt_scores: bool,
    }
}

impl From<&Parameters> for Sampling {
    fn from(parameters: &Parameters) -> Self {
        Self {
            max_tokens: parameters.max_tokens,
            temperature_micros: parameters.temperature_micros,
            top_p_micros: parameters.top_p_micros,
            top_k: parameters.top_k,
            min_p_micros: parameters.min_p_micros,
            repetition_penalty_micros: parameters.repetition_penalty_micros,
            presence_penalty_micros: parameters.presence_penalty_micros,
            frequency_penalty_micros: parameters.frequency_penalty_micros,
            seed: parameters.seed,
            scores: parameters.scores,
            prompt_scores: parameters.prompt_scores,
        }
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
        /// What covers this request; absent where it costs nothing.
        payment: Option<Payment>,
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
/// all tensors. An answer with scores has a link for the prompt's before those of its tokens.
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

    /// The head after the scores of the prompt.
    #[must_use]
    pub fn prompt(self, scores: &List<Score, TOKENS_MAX>) -> Self {
        Self(hash("og/stream/prompt/v1", &[&self.0.0, &scores.encode()]))
    }

    #[must_use]
    pub fn scored(self, token: &ScoredToken) -> Self {
        Self(hash("og/stream/scored/v1", &[&self.0.0, &token.encode()]))
    }

    /// The head after all of `output`.
    #[must_use]
    pub fn after(self, output: &Output) -> Self {
        match output {
            Output::Tokens(tokens) => tokens.iter().fold(self, |head, token| head.token(*token)),
            Output::Tensors(tensors) => Self(hash("og/stream/tensors/v1", &[&self.0.0, &tensors.encode()])),
            Output::Scored(scored) => scored.tokens.iter().fold(self.prompt(&scored.prompt), Self::scored),
        }
    }
}
