//! What clients speak: the OpenAI shapes, JSON tensors, and the JSON face of every noun.
//!
//! Reads no clock, no randomness and no socket: bytes in, nouns or a typed error out. No number, list or text is taken
//! beyond its limit (`limits`), and every refusal names the parameter, what was found and what was expected.
#![forbid(unsafe_code)]

mod answer;
mod chat;
mod error;
mod field;
mod infer;
mod json;
mod stop;
mod tensor;
mod terms;

pub mod face;
pub mod limits;

pub use answer::{
    Answered, ChatChoice, ChatChunk, ChatCompletion, ChatMessage, Delta, ModelCard, ModelList, OgAnswer, StreamChoice,
    Usage, finish_word,
};
pub use chat::ChatCompletionRequest;
pub use error::{ApiError, Code};
pub use infer::{InferAnswer, InferRequest};
pub use json::{Json, JsonError};
pub use stop::StopText;
pub use tensor::{TensorFace, read_tensor};
pub use terms::Terms;
