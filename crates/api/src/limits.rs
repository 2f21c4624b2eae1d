//! How much of anything a client may send; what is beyond is refused with the limit in the message.

/// Largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest body where numbers are lists: the largest tensor of floats, 24 letters each.
pub const INFER_BODY_BYTES_MAX: usize = 5 << 20;
/// Deepest nesting of lists and objects.
pub const DEPTH_MAX: usize = 32;
/// Longest name of a model.
pub const MODEL_NAME_BYTES_MAX: usize = 128;
/// Most messages in a conversation.
pub const MESSAGES_MAX: usize = protocol::request::MESSAGES_MAX;
/// Longest content of one message, and of all messages together: prompt and answer must fit into an opening.
pub const CONTENT_BYTES_MAX: usize = protocol::request::MESSAGE_BYTES_MAX;
/// Most parts of one message's content.
pub const PARTS_MAX: usize = 64;
/// Most tokens that can be asked for.
pub const TOKENS_MAX: u32 = 1 << 16;
/// Most texts that end an answer, and the longest of them.
pub const STOPS_MAX: usize = 8;
pub const STOP_BYTES_MAX: usize = 256;
/// Largest temperature and the largest share of probability kept, in millionths.
pub const TEMPERATURE_MICROS_MAX: u32 = 2_000_000;
pub const TOP_P_MICROS_MAX: u32 = 1_000_000;
/// Most tensors in one inference, and the most dimensions of one.
pub const TENSORS_MAX: usize = 64;
pub const DIMENSIONS_MAX: usize = 8;
pub const TENSOR_NAME_BYTES_MAX: usize = 128;
pub const TENSOR_BYTES_MAX: usize = protocol::request::TENSOR_BYTES_MAX;
/// Most answers that one call may ask for: `n`, prompts of a list, texts to embed in groups.
pub const JOBS_MAX: u64 = 128;
/// Most prompts or texts in one list.
pub const PROMPTS_MAX: usize = 2_048;
/// Most tools, the longest name and description of one, and the longest schema, expression or grammar.
pub const TOOLS_MAX: usize = protocol::request::TOOLS_MAX;
pub const NAME_BYTES_MAX: usize = protocol::request::NAME_BYTES_MAX;
pub const DESCRIPTION_BYTES_MAX: usize = protocol::request::DESCRIPTION_BYTES_MAX;
pub const SCHEMA_BYTES_MAX: usize = protocol::request::SCHEMA_BYTES_MAX;
/// Most texts of which an answer is to be one.
pub const CHOICES_MAX: usize = 1_024;
/// Most of an answer's text that is held back because it may be calls of tools: beyond it, it is text.
pub const CALLS_BYTES_MAX: usize = 2 * protocol::request::MESSAGE_BYTES_MAX;
/// Most tokens with a bias, and the greatest bias.
pub const BIASES_MAX: usize = protocol::request::BIASES_MAX;
pub const BIAS_MICROS_MAX: u32 = 100_000_000;
/// Greatest penalty, on either side of zero.
pub const PENALTY_MICROS_MAX: u32 = 2_000_000;
/// Most alternatives to a token.
pub const ALTERNATIVES_MAX: u64 = 20;
/// Most receipts that a request builds on.
pub const PARENTS_MAX: usize = protocol::request::PARENTS_MAX;

const _: () =
    assert!(TENSOR_BYTES_MAX / 4 * 24 + (64 << 10) <= INFER_BODY_BYTES_MAX, "the largest tensor fits into a body");
const _: () = assert!(TOKENS_MAX as usize == protocol::request::TOKENS_MAX, "one limit, two types");
