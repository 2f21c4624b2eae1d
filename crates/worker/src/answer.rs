//! What a worker answers: a function of request and model alone. Pure.

use engine::{Flow, LanguageModel, Model, TensorModel};
use protocol::{
    Finish, Input, List, Message, Output, Request, Tensor, Text,
    request::TOKENS_MAX,
    service::{FailedFrame, Failure, Frame, TokenFrame},
};

use crate::adversary::Adversary;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub prompt: List<u32, TOKENS_MAX>,
    pub output: Output,
    pub finish: Finish,
}

/// Runs `request` on `model` and hands on each part as it is there; `deliver` says whether anyone still listens.
pub fn answer(
    model: &Model,
    request: &Request,
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    match (&request.input, model.as_language(), model.as_tensor()) {
        (Input::Chat(messages), Some(language), _) => chat(language, request, messages, adversary, deliver),
        (Input::Tensors(inputs), _, Some(tensors)) => compute(tensors, inputs, adversary, deliver),
        (Input::Chat(_), None, _) => Err(failed(Failure::BadRequest, "this model takes tensors, not messages")),
        (Input::Tensors(_), _, None) => Err(failed(Failure::BadRequest, "this model takes messages, not tensors")),
    }
}

fn chat(
    model: &LanguageModel,
    request: &Request,
    messages: &[Message],
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    let prompt = model
        .prompt(messages, request.template_time_ms)
        .map_err(|error| failed(Failure::BadRequest, &format!("failed to render the prompt: {error}")))?;
    let vocabulary = u32::try_from(model.vocabulary()).unwrap_or(u32::MAX);
    let mut detokenizer = model.detokenizer();
    let mut tokens = Vec::new();
    let mut listening = true;
    let generation = model
        .generate(&prompt, &request.parameters, &mut |token| {
            let token = adversary.map_or(token, |adversary| adversary.token(tokens.len(), token, vocabulary));
            tokens.push(token);
            let text = Text::new(detokenizer.push(token)).unwrap_or_default();
            listening = deliver(Frame::Token(TokenFrame { token, text }));
            if listening { Flow::Continue } else { Flow::Stop }
        })
        .map_err(|error| failed(Failure::ContextTooLong, &error.to_string()))?;
    let finish = if listening { generation.finish } else { Finish::Cancelled };
    Ok(Answer { prompt: bounded(prompt)?, output: Output::Tokens(bounded(tokens)?), finish })
}

fn compute(
    model: &TensorModel,
    inputs: &[Tensor],
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    let outputs = model.run(inputs).map_err(|error| failed(Failure::BadRequest, &error.to_string()))?;
    let outputs = adversary.map_or(outputs.clone(), |adversary| adversary.tensors(outputs));
    let outputs = List::new(outputs).map_err(|error| failed(Failure::Internal, &error.to_string()))?;
    let listening = deliver(Frame::Tensors(outputs.clone()));
    let finish = if listening { Finish::Complete } else { Finish::Cancelled };
    Ok(Answer { prompt: List::default(), output: Output::Tensors(outputs), finish })
}

fn bounded<const MAX: usize>(tokens: Vec<u32>) -> Result<List<u32, MAX>, FailedFrame> {
    List::new(tokens).map_err(|error| failed(Failure::ContextTooLong, &format!("tokens: {error}")))
}

/// The frame that tells a caller why there is no answer.
pub(crate) fn failed(failure: Failure, message: &str) -> FailedFrame {
    let message: String = message.chars().take(1_000).collect();
    FailedFrame { failure, message: Text::new(message).unwrap_or_default() }
}
