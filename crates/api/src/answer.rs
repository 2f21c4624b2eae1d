//! What goes back to a client: completions, chunks, the list of models, and our own fields under `og`.

use protocol::{Assurance, Finish};
use serde::Serialize;

use crate::face::Face;

/// Fields that every answer carries beside what OpenAI clients read.
#[derive(Clone, Debug, Serialize)]
pub struct OgAnswer {
    pub receipt_id: String,
    pub model_root: String,
    pub worker: String,
    pub assurance: &'static str,
    /// How far the receipt has come when the answer leaves: `evidenced`.
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<Face>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Face>,
}

/// What `OgAnswer` is made of.
pub struct Answered {
    pub receipt: protocol::SignedReceipt,
    pub opening: protocol::Opening,
    /// True where the caller asked for receipt and opening.
    pub include_opening: bool,
}

impl From<&Answered> for OgAnswer {
    fn from(answered: &Answered) -> Self {
        let receipt = &answered.receipt.receipt;
        let assurance: Assurance = receipt.assurance;
        Self {
            receipt_id: receipt.id().to_string(),
            model_root: receipt.model.to_string(),
            worker: receipt.worker.to_string(),
            assurance: assurance.word(),
            state: "evidenced",
            opening: answered.include_opening.then(|| Face::of(&answered.opening)),
            receipt: answered.include_opening.then(|| Face::of(&answered.receipt)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub total_tokens: u32,
}

impl Usage {
    pub fn new(prompt_tokens: u32, completion_tokens: u32) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens.saturating_add(completion_tokens) }
    }
}

/// Why an answer ended, in the words that OpenAI clients know.
pub fn finish_word(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::Stop | Finish::Cancelled | Finish::Complete => "stop",
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct ChatMessage {
    pub role: &'static str,
    pub content: String,
    pub refusal: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ChatChoice {
    pub index: u32,
    pub message: ChatMessage,
    pub logprobs: Option<()>,
    pub finish_reason: &'static str,
}

/// A whole answer.
#[derive(Clone, Debug, Serialize)]
pub struct ChatCompletion<'a> {
    pub id: &'a str,
    pub object: &'static str,
    /// Seconds since the Unix epoch.
    pub created: u64,
    pub model: &'a str,
    pub choices: [ChatChoice; 1],
    pub usage: Usage,
    pub og: OgAnswer,
}

impl<'a> ChatCompletion<'a> {
    pub fn new(
        id: &'a str,
        created: u64,
        model: &'a str,
        content: String,
        finish: Finish,
        answered: &Answered,
    ) -> Self {
        let receipt = &answered.receipt.receipt;
        let message = ChatMessage { role: "assistant", content, refusal: None };
        let choice = ChatChoice { index: 0, message, logprobs: None, finish_reason: finish_word(finish) };
        Self {
            id,
            object: "chat.completion",
            created,
            model,
            choices: [choice],
            usage: Usage::new(receipt.prompt_tokens, receipt.output_tokens),
            og: answered.into(),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StreamChoice<'a> {
    pub index: u32,
    pub delta: Delta<'a>,
    pub logprobs: Option<()>,
    pub finish_reason: Option<&'static str>,
}

/// One event of a streamed answer.
#[derive(Clone, Debug, Serialize)]
pub struct ChatChunk<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u64,
    pub model: &'a str,
    /// Empty in the last chunk of a client that asked for usage, as in the real service.
    pub choices: Vec<StreamChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub og: Option<OgAnswer>,
}

impl<'a> ChatChunk<'a> {
    fn with(id: &'a str, created: u64, model: &'a str, choices: Vec<StreamChoice<'a>>) -> Self {
        Self { id, object: "chat.completion.chunk", created, model, choices, usage: None, og: None }
    }

    /// The first chunk says who speaks.
    pub fn opening(id: &'a str, created: u64, model: &'a str) -> Self {
        let delta = Delta { role: Some("assistant"), content: Some("") };
        Self::with(id, created, model, vec![StreamChoice { index: 0, delta, logprobs: None, finish_reason: None }])
    }

    pub fn text(id: &'a str, created: u64, model: &'a str, text: &'a str) -> Self {
        let delta = Delta { role: None, content: Some(text) };
        Self::with(id, created, model, vec![StreamChoice { index: 0, delta, logprobs: None, finish_reason: None }])
    }

    /// The chunk that says why the answer ended.
    pub fn finish(id: &'a str, created: u64, model: &'a str, finish: Finish) -> Self {
        let finish_reason = Some(finish_word(finish));
        let choice = StreamChoice { index: 0, delta: Delta::default(), logprobs: None, finish_reason };
        Self::with(id, created, model, vec![choice])
    }

    /// The chunk after it, for clients that asked for usage.
    pub fn usage(id: &'a str, created: u64, model: &'a str) -> Self {
        Self::with(id, created, model, Vec::new())
    }

    /// The last chunk before `[DONE]` carries what the receipt says.
    #[must_use]
    pub fn with_receipt(mut self, answered: &Answered) -> Self {
        let receipt = &answered.receipt.receipt;
        self.usage = Some(Usage::new(receipt.prompt_tokens, receipt.output_tokens));
        self.og = Some(answered.into());
        self
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct ModelCard {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub owned_by: String,
    pub root: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct ModelList {
    pub object: &'static str,
    pub data: Vec<ModelCard>,
}

impl From<&protocol::ModelRecord> for ModelCard {
    fn from(model: &protocol::ModelRecord) -> Self {
        Self {
            id: model.name[..].to_owned(),
            object: "model",
            created: model.published_at_ms / 1_000,
            owned_by: model.publisher.to_string(),
            root: model.root.to_string(),
        }
    }
}

impl ModelList {
    pub fn new(models: &[protocol::ModelRecord]) -> Self {
        Self { object: "list", data: models.iter().map(ModelCard::from).collect() }
    }
}
