//! What clients speak: the shapes of OpenAI's and Anthropic's interfaces, JSON tensors, and the JSON face of every noun.
//!
//! Reads no clock, no randomness and no socket: bytes in, nouns or a typed error out. No number, list or text is taken
//! beyond its limit (`limits`), and every refusal names the parameter, what was found and what was expected. Three
//! dialects share one `Call` and one sequence of parts; each has one file that reads and one that tells.
#![forbid(unsafe_code)]

mod answer;
mod answered;
mod begun;
mod call;
mod chat;
mod completions;
mod constraint;
mod embeddings;
mod endpoint;
mod error;
mod field;
mod infer;
mod json;
mod messages;
mod parameters;
mod raw;
mod responses;
mod said;
mod sse;
mod stop;
mod tensor;
mod terms;
mod thoughts;
mod tools;
mod unsupported;

pub mod face;
pub mod limits;

pub use answer::{ModelCard, OgAnswer, Usage};
pub use answered::{Answered, Paid};
pub use call::{Call, Head, Job, Teller};
pub use endpoint::{ENDPOINTS, Endpoint, Gives};
pub use error::{ApiError, Code, Dialect, Fault};
pub use json::{Json, JsonError};
pub use parameters::{Named, USUAL};
pub use said::{End, Manner, Part, Reading, Said, SaidToken};
pub use sse::Events;
pub use stop::StopText;
pub use tensor::{TensorFace, read_tensor};
pub use terms::{Terms, offered};
pub use thoughts::Thinking;
pub use tools::{CallReader, Calling, Choice, Family};
