//! The table of endpoints that answer from a model: a path, whose words, and how a body is read. A new one is a row.

use crate::{
    call::Call,
    chat, completions, embeddings,
    error::{ApiError, Dialect},
    infer,
    limits::{BODY_BYTES_MAX, INFER_BODY_BYTES_MAX},
    messages, responses,
};

/// What an endpoint gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    Answers,
    /// How many tokens the prompt has, tools and all; no model runs. `object` is what the answer calls itself, where it does.
    Count {
        object: Option<&'static str>,
    },
}

/// A row of the table.
pub struct Endpoint {
    pub path: &'static str,
    pub dialect: Dialect,
    pub gives: Gives,
    /// Largest body.
    pub body_bytes: usize,
    pub read: fn(body: &[u8]) -> Result<Call, ApiError>,
}

const fn answers(path: &'static str, dialect: Dialect, read: fn(&[u8]) -> Result<Call, ApiError>) -> Endpoint {
    Endpoint { path, dialect, gives: Gives::Answers, body_bytes: BODY_BYTES_MAX, read }
}

pub static ENDPOINTS: &[Endpoint] = &[
    answers("/v1/chat/completions", Dialect::OpenAi, chat::read),
    answers("/v1/completions", Dialect::OpenAi, completions::read),
    answers("/v1/embeddings", Dialect::OpenAi, embeddings::read),
    answers("/v1/responses", Dialect::OpenAi, responses::read),
    Endpoint {
        path: "/v1/responses/input_tokens",
        dialect: Dialect::OpenAi,
        gives: Gives::Count { object: Some("response.input_tokens") },
        body_bytes: BODY_BYTES_MAX,
        read: responses::read,
    },
    answers("/v1/messages", Dialect::Anthropic, messages::read),
    Endpoint {
        path: "/v1/messages/count_tokens",
        dialect: Dialect::Anthropic,
        gives: Gives::Count { object: None },
        body_bytes: BODY_BYTES_MAX,
        read: messages::read_to_count,
    },
    Endpoint { body_bytes: INFER_BODY_BYTES_MAX, ..answers("/v1/infer", Dialect::OpenAi, infer::read) },
];

impl Endpoint {
    /// Whose words errors at `path` are told in, where no handler is reached.
    pub fn dialect_of(path: &str) -> Dialect {
        if path.starts_with("/v1/messages") { Dialect::Anthropic } else { Dialect::OpenAi }
    }
}
