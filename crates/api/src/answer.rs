//! What answers of all endpoints have in common: token counts and our own fields under `og`; and what a model is listed by.

use protocol::Assurance;
use serde::Serialize;

use crate::{
    answered::{Answered, Paid},
    face::Face,
    said::Said,
};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<Box<Paid>>,
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
            payment: answered.payment.clone(),
        }
    }
}

/// The receipt of an answer, or those of several in their order.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum OgAnswers {
    One(OgAnswer),
    Many(Vec<OgAnswer>),
}

pub(crate) fn og(said: &[Said]) -> OgAnswers {
    match said {
        [one] => OgAnswers::One((&one.answered).into()),
        many => OgAnswers::Many(many.iter().map(|said| (&said.answered).into()).collect()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub total_tokens: u32,
    /// Of models that think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CompletionDetails {
    /// Of the completion's tokens those of thoughts.
    pub reasoning_tokens: u32,
}

impl Usage {
    pub fn new(prompt_tokens: u32, completion_tokens: u32, reasoning_tokens: Option<u32>) -> Self {
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        let completion_tokens_details = reasoning_tokens.map(|reasoning_tokens| CompletionDetails { reasoning_tokens });
        Self { prompt_tokens, completion_tokens, total_tokens, completion_tokens_details }
    }
}

/// A log-probability in nats.
pub(crate) fn nats(micros: i32) -> f64 {
    f64::from(micros) / 1e6
}

#[derive(Clone, Debug, Serialize)]
pub struct ModelCard {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub owned_by: String,
    pub root: String,
    /// `exact`, or `float`: answers that are signed for, and that nobody can audit.
    pub kind: &'static str,
}

impl From<&protocol::ModelRecord> for ModelCard {
    fn from(model: &protocol::ModelRecord) -> Self {
        Self {
            id: model.name[..].to_owned(),
            object: "model",
            created: model.published_at_ms / 1_000,
            owned_by: model.publisher.to_string(),
            root: model.root.to_string(),
            kind: model.kind.word(),
        }
    }
}
