//! What a worker answers: a function of request and model alone. Pure.

use engine::{Flow, LanguageModel, Model, Part, PromptError, TensorModel};
use protocol::{
    Canonical as _, Chat, Finish, Input, List, Output, Request, Tensor, Text,
    request::{OPENING_BYTES_MAX, TOKENS_MAX},
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

/// Bytes that an opening has besides request, prompt and output: three salts and the counts.
const OPENING_REST: usize = 128;
const TOKEN_BYTES: usize = 4;

/// Refuses a request whose opening might not fit into a block: a worker that could not open what it signed would be
/// slashed for withholding it.
pub(crate) fn check_room(model: &Model, request: &Request) -> Result<(), FailedFrame> {
    // Prompt and answer share the context.
    let tokens = model.as_language().map_or(0, LanguageModel::context).saturating_mul(TOKEN_BYTES);
    check_opening(request, tokens)
}

fn check_opening(request: &Request, rest: usize) -> Result<(), FailedFrame> {
    let needed = request.encode().len().saturating_add(rest).saturating_add(OPENING_REST);
    if needed <= OPENING_BYTES_MAX {
        return Ok(());
    }
    let message = format!("request and answer may have {needed} bytes, at most {OPENING_BYTES_MAX} can be audited");
    Err(failed(Failure::ContextTooLong, &message))
}

/// Runs `request` on `model` and hands on each part as it is there; `deliver` says whether anyone still listens.
pub fn answer(
    model: &Model,
    request: &Request,
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    match (&request.input, model.as_language(), model.as_tensor()) {
        (Input::Chat(conversation), Some(language), _) => chat(language, request, conversation, adversary, deliver),
        (Input::Tensors(inputs), _, Some(tensors)) => compute(tensors, request, inputs, adversary, deliver),
        (Input::Chat(_), None, _) => Err(failed(Failure::BadRequest, "this model takes tensors, not messages")),
        (Input::Tensors(_), _, None) => Err(failed(Failure::BadRequest, "this model takes messages, not tensors")),
        (Input::Prompt(_) | Input::Embed(_), _, _) => {
            Err(failed(Failure::BadRequest, "this worker serves conversations and tensors"))
        }
    }
}

fn chat(
    model: &LanguageModel,
    request: &Request,
    conversation: &Chat,
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    let prompt = model
        .prompt(&conversation.messages, request.template_time_ms)
        .map_err(|error| failed(failure(&error), &format!("failed to render the prompt: {error}")))?;
    let vocabulary = u32::try_from(model.vocabulary()).unwrap_or(u32::MAX);
    let mut detokenizer = model.detokenizer();
    let mut tokens = Vec::new();
    let (mut listening, mut overlong) = (true, false);
    let generation = model
        .generate(&prompt, &request.parameters, &mut |part| {
            let Part::Token { token, .. } = *part else { return Flow::Continue };
            let token = adversary.map_or(token, |adversary| adversary.token(tokens.len(), token, vocabulary));
            tokens.push(token);
            match Text::new(detokenizer.push(token)) {
                Ok(text) => listening = deliver(Frame::Token(TokenFrame { token, text, score: None })),
                Err(_) => overlong = true,
            }
            if listening && !overlong { Flow::Continue } else { Flow::Stop }
        })
        .map_err(|error| failed(Failure::ContextTooLong, &error.to_string()))?;
    if overlong {
        return Err(failed(Failure::Internal, "a token of this model has more text than a frame can carry"));
    }
    let finish = if listening { generation.finish } else { Finish::Cancelled };
    Ok(Answer { prompt: bounded(prompt)?, output: Output::Tokens(bounded(tokens)?), finish })
}

/// Whose words the refusal of a prompt is told in: too long is the one that clients know how to mend.
fn failure(error: &PromptError) -> Failure {
    match error {
        PromptError::TooLong { .. } | PromptError::Rendered { .. } => Failure::ContextTooLong,
        PromptError::Empty | PromptError::Mark { .. } | PromptError::Template { .. } | PromptError::Tokenizer(_) => {
            Failure::BadRequest
        }
    }
}

fn compute(
    model: &TensorModel,
    request: &Request,
    inputs: &[Tensor],
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    let outputs = model.run(inputs).map_err(|error| failed(Failure::BadRequest, &error.to_string()))?;
    let outputs = match adversary {
        Some(adversary) => adversary.tensors(outputs),
        None => outputs,
    };
    let outputs = List::new(outputs).map_err(|error| failed(Failure::Internal, &error.to_string()))?;
    check_opening(request, outputs.encode().len())?;
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
