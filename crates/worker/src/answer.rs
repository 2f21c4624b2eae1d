//! What a worker answers: a function of request and model alone. Pure.

use engine::{
    Conversation, Detokenizer, Flow, LanguageModel, Model, Part, PromptError, Prompter, RunError,
    serve::{Job, ServeError},
};
use float::{Runtime, RuntimeError};
use protocol::{
    Canonical as _, Element, Finish, Input, List, Output, Parameters, Request, Tensor, Text,
    request::{
        ALTERNATIVE_BYTES, EMBEDDED_MAX, OPENING_BYTES_MAX, OPENING_REST_BYTES, SCORE_BYTES, Score, Scored,
        ScoredToken, TOKEN_BYTES, TOKENS_MAX,
    },
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

/// The tokens of each text of a request.
pub(crate) type Prompts = List<List<u32, TOKENS_MAX>, EMBEDDED_MAX>;

/// Tokens of prompt and answer together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// That can be judged here.
    pub judged: usize,
    /// That the model was made for.
    pub own: usize,
}

impl Room {
    pub fn of(model: &LanguageModel) -> Self {
        Self { judged: model.context(), own: model.own_context() }
    }
}

/// Runs `request` on `model` and hands on each part as it is there; `deliver` says whether anyone still listens.
pub fn answer(
    model: &Model,
    request: &Request,
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    match (&request.input, model.as_language()) {
        (Input::Chat(_) | Input::Prompt(_), Some(language)) => say(language, request, adversary, deliver),
        _ => {
            let answer = compute(model, request, adversary, &|| true)?;
            let Output::Tensors(outputs) = &answer.output else { return Ok(answer) };
            let finish = if deliver(Frame::Tensors(outputs.clone())) { answer.finish } else { Finish::Cancelled };
            Ok(Answer { finish, ..answer })
        }
    }
}

fn say(
    model: &LanguageModel,
    request: &Request,
    adversary: Option<Adversary>,
    deliver: &mut dyn FnMut(Frame) -> bool,
) -> Result<Answer, FailedFrame> {
    let job = job(model, request, only(prompts(model.prompter(), Room::of(model), request)?))?;
    let mut telling = Telling::new(model, &request.parameters, adversary);
    let mut refused = None;
    let generation = model.generate(&job.prompt, &job.parameters, &mut |part| {
        let told = telling.tell(part.clone()).map(&mut *deliver);
        match told {
            Ok(true) => Flow::Continue,
            Ok(false) => Flow::Stop,
            Err(failure) => {
                refused = Some(failure);
                Flow::Stop
            }
        }
    });
    let generation = generation.map_err(|error| run_failed(&error))?;
    refused.map_or(Ok(()), Err)?;
    telling.into_answer(job.prompt, generation.finish)
}

/// The tokens of each text of a request: one, where it is to be continued.
pub(crate) fn prompts(prompter: &Prompter, room: Room, request: &Request) -> Result<Prompts, FailedFrame> {
    let made = |prompt: Result<Vec<u32>, PromptError>| -> Result<List<u32, TOKENS_MAX>, FailedFrame> {
        bounded(prompt.map_err(|error| prompt_failed(room, &error))?)
    };
    // At least one token is left for the answer.
    let limit = room.judged.saturating_sub(1);
    let mut all = Vec::new();
    match &request.input {
        Input::Chat(chat) => {
            let conversation = Conversation::chat(chat);
            all.push(made(prompter.conversation(&conversation, request.template_time_ms, limit))?);
        }
        Input::Prompt(prompt) => all.push(made(prompter.plain(prompt, limit))?),
        Input::Embed(texts) => {
            let mut count = 0_usize;
            for text in texts.iter() {
                let tokens = made(prompter.embedded(text, room.judged))?;
                count = count.saturating_add(tokens.len());
                if count > TOKENS_MAX {
                    let message =
                        format!("the texts have more than {TOKENS_MAX} tokens together, the most of one request");
                    return Err(failed(Failure::ContextTooLong, &message));
                }
                all.push(tokens);
            }
        }
        Input::Tensors(_) => return Err(failed(Failure::BadRequest, "there is no text in this request")),
    }
    bounded(all)
}

/// The prompt of a request that has one text.
pub(crate) fn only(prompts: Prompts) -> Vec<u32> {
    prompts.into_inner().into_iter().next().map(List::into_inner).unwrap_or_default()
}

/// What of a request a language model is to continue, and how. Refuses a request whose opening might not fit into a block: a
/// worker that could not open what it signed would be slashed for withholding it.
pub(crate) fn job(model: &LanguageModel, request: &Request, prompt: Vec<u32>) -> Result<Job, FailedFrame> {
    let parameters = &request.parameters;
    let answer = (parameters.max_tokens as usize).min(model.context().saturating_sub(prompt.len()));
    let score = if scores(parameters) {
        SCORE_BYTES + ALTERNATIVE_BYTES * usize::from(parameters.scores.saturating_sub(1))
    } else {
        0
    };
    let scored = if parameters.prompt_scores { prompt.len() } else { 0 };
    check_opening(request, (prompt.len() + answer) * TOKEN_BYTES + (scored + answer) * score)?;
    Ok(Job { prompt, parameters: parameters.clone() })
}

/// Whether an answer has scores.
fn scores(parameters: &Parameters) -> bool {
    parameters.scores > 0 || parameters.prompt_scores
}

fn check_opening(request: &Request, rest: usize) -> Result<(), FailedFrame> {
    let needed = request.encode().len().saturating_add(rest).saturating_add(OPENING_REST_BYTES);
    if needed <= OPENING_BYTES_MAX {
        return Ok(());
    }
    let message = format!("request and answer may have {needed} bytes, at most {OPENING_BYTES_MAX} can be audited");
    Err(failed(Failure::ContextTooLong, &message))
}

/// An answer as it is told: part by part to the reader, and in the end as a whole.
pub(crate) struct Telling<'a> {
    detokenizer: Detokenizer<'a>,
    vocabulary: u32,
    adversary: Option<Adversary>,
    has_scores: bool,
    prompt_scores: List<Score, TOKENS_MAX>,
    tokens: Vec<u32>,
    scores: Vec<Score>,
}

impl<'a> Telling<'a> {
    pub fn new(model: &'a LanguageModel, parameters: &Parameters, adversary: Option<Adversary>) -> Self {
        Self {
            detokenizer: model.detokenizer(),
            vocabulary: u32::try_from(model.vocabulary()).unwrap_or(u32::MAX),
            adversary,
            has_scores: scores(parameters),
            prompt_scores: List::default(),
            tokens: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// The frame that tells a part.
    pub fn tell(&mut self, part: Part) -> Result<Frame, FailedFrame> {
        match part {
            Part::PromptScores(scores) => {
                self.prompt_scores = bounded(scores)?;
                Ok(Frame::PromptScores(self.prompt_scores.clone()))
            }
            Part::Token { token, score } => {
                let lie = |adversary: Adversary| adversary.token(self.tokens.len(), token, self.vocabulary);
                let token = self.adversary.map_or(token, lie);
                self.tokens.push(token);
                self.scores.extend(score.clone());
                let overlong = "a token of this model has more text than a frame can carry";
                let text = Text::new(self.detokenizer.push(token)).map_err(|_| failed(Failure::Internal, overlong))?;
                Ok(Frame::Token(TokenFrame { token, text, score }))
            }
        }
    }

    pub fn into_answer(self, prompt: Vec<u32>, finish: Finish) -> Result<Answer, FailedFrame> {
        let output = if self.has_scores {
            let scored = self.tokens.into_iter().zip(self.scores);
            let tokens = bounded(scored.map(|(token, score)| ScoredToken { token, score }).collect())?;
            Output::Scored(Scored { prompt: self.prompt_scores, tokens })
        } else {
            Output::Tokens(bounded(self.tokens)?)
        };
        Ok(Answer { prompt: bounded(prompt)?, output, finish })
    }
}

/// Answers that are there at once: of tensor models, and embeddings. Ends early where `stays` says that nobody waits for it.
pub(crate) fn compute(
    model: &Model,
    request: &Request,
    adversary: Option<Adversary>,
    stays: &(dyn Fn() -> bool + Sync),
) -> Result<Answer, FailedFrame> {
    match (&request.input, model.as_language(), model.as_tensor()) {
        (Input::Tensors(inputs), _, Some(tensors)) => {
            let outputs = tensors.run_while(inputs, stays).map_err(|error| tensors_failed(&error))?;
            tensors_answered(request, Vec::new(), outputs, adversary)
        }
        (Input::Embed(_), Some(language), _) => {
            let texts = embedded(language, request, prompts(language.prompter(), Room::of(language), request)?)?;
            let embed = |tokens: &Vec<u32>| language.embed(tokens).map_err(|error| run_failed(&error));
            let embeddings = texts.iter().map(embed).collect::<Result<Vec<_>, _>>()?;
            embeddings_answered(request, &texts, &embeddings, adversary)
        }
        (Input::Chat(_) | Input::Prompt(_) | Input::Embed(_), _, _) => {
            Err(failed(Failure::BadRequest, "this model takes tensors, not messages"))
        }
        (Input::Tensors(_), _, None) => Err(failed(Failure::BadRequest, "this model takes messages, not tensors")),
    }
}

fn tensors_answered(
    request: &Request,
    prompt: Vec<u32>,
    outputs: Vec<Tensor>,
    adversary: Option<Adversary>,
) -> Result<Answer, FailedFrame> {
    let outputs = match adversary {
        Some(adversary) => adversary.tensors(outputs),
        None => outputs,
    };
    let outputs = List::new(outputs).map_err(|error| failed(Failure::Internal, &error.to_string()))?;
    check_opening(request, prompt.len() * TOKEN_BYTES + outputs.encode().len())?;
    Ok(Answer { prompt: bounded(prompt)?, output: Output::Tensors(outputs), finish: Finish::Complete })
}

/// The texts that a request wants embedded, by their tokens. All that could be too much of them is refused here, before
/// any of them is run: each text alone, all together, and what an opening of them would be.
pub(crate) fn embedded(model: &LanguageModel, request: &Request, texts: Prompts) -> Result<Vec<Vec<u32>>, FailedFrame> {
    let Input::Embed(asked) = &request.input else {
        return Err(failed(Failure::BadRequest, "there is nothing to embed in this request"));
    };
    if texts.len() != asked.len() {
        return Err(failed(Failure::Internal, "not all texts were made tokens of"));
    }
    let width = model.embedding_width().map_err(|error| run_failed(&error))?;
    let texts: Vec<Vec<u32>> = texts.into_inner().into_iter().map(List::into_inner).collect();
    texts.iter().try_for_each(|tokens| model.check_embedding(tokens)).map_err(|error| run_failed(&error))?;
    model.check_work(&texts).map_err(|error| run_failed(&error))?;
    let count = texts.iter().map(Vec::len).sum::<usize>();
    let tensor = embedding(&vec![0.0; width])?;
    let outputs = tensor.encode().len().saturating_mul(texts.len()).saturating_add(TOKEN_BYTES);
    check_opening(request, count * TOKEN_BYTES + outputs)?;
    Ok(texts)
}

/// The answer that embeddings of those texts are.
pub(crate) fn embeddings_answered(
    request: &Request,
    texts: &[Vec<u32>],
    embeddings: &[Vec<f32>],
    adversary: Option<Adversary>,
) -> Result<Answer, FailedFrame> {
    let outputs = embeddings.iter().map(|values| embedding(values)).collect::<Result<Vec<_>, _>>()?;
    tensors_answered(request, texts.concat(), outputs, adversary)
}

/// The answer of a model without an exact form.
pub(crate) fn compute_floats(
    model: &Runtime,
    request: &Request,
    stays: &(dyn Fn() -> bool + Sync),
) -> Result<Answer, FailedFrame> {
    let Input::Tensors(inputs) = &request.input else {
        return Err(failed(Failure::BadRequest, "this model takes tensors, not messages"));
    };
    let outputs = model.run_while(inputs, stays).map_err(|error| float_failed(&error))?;
    check_opening(request, outputs.encode().len())?;
    Ok(Answer { prompt: List::default(), output: Output::Tensors(outputs), finish: Finish::Complete })
}

/// Other workers are not troubled with what ends a runtime here.
fn float_failed(error: &RuntimeError) -> FailedFrame {
    let whose = match error {
        RuntimeError::Busy { .. } => Failure::Busy,
        error if error.is_of_the_input() => Failure::BadRequest,
        _ => Failure::Internal,
    };
    failed(whose, &error.to_string())
}

fn tensors_failed(error: &RunError) -> FailedFrame {
    let whose = if error.is_own_trouble() { Failure::Internal } else { Failure::BadRequest };
    failed(whose, &error.to_string())
}

fn embedding(values: &[f32]) -> Result<Tensor, FailedFrame> {
    let internal = |error: &dyn std::fmt::Display| failed(Failure::Internal, &format!("an embedding: {error}"));
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(Tensor {
        name: Text::new("embedding").map_err(|error| internal(&error))?,
        element: Element::F32,
        shape: List::new(vec![values.len() as u64]).map_err(|error| internal(&error))?,
        data: protocol::Bytes::new(data).map_err(|error| internal(&error))?,
    })
}

fn bounded<T, const MAX: usize>(items: Vec<T>) -> Result<List<T, MAX>, FailedFrame> {
    List::new(items).map_err(|error| failed(Failure::ContextTooLong, &format!("tokens: {error}")))
}

/// In whose words the refusal of a prompt is told: too long is the one that clients know how to mend.
fn prompt_failed(room: Room, error: &PromptError) -> FailedFrame {
    let failure = match error {
        PromptError::TooLong { .. } | PromptError::Rendered { .. } => Failure::ContextTooLong,
        PromptError::Empty
        | PromptError::Mark { .. }
        | PromptError::ToolMark { .. }
        | PromptError::Parameters { .. }
        | PromptError::Arguments { .. }
        | PromptError::Argument { .. }
        | PromptError::Template { .. }
        | PromptError::Tokenizer(_) => Failure::BadRequest,
        PromptError::OwnTrouble { .. } => Failure::Internal,
    };
    let Room { judged, own } = room;
    let hint = if failure == Failure::ContextTooLong && judged < own {
        format!(
            "; hint: of the {own} tokens of this model, this network's windows let {judged} be judged, prompt and answer together: \
            send less, or ask a network with a longer challenge window"
        )
    } else {
        String::new()
    };
    failed(failure, &format!("failed to render the prompt: {error}{hint}"))
}

pub(crate) fn run_failed(error: &RunError) -> FailedFrame {
    let failure = match error {
        RunError::PromptLength { .. } | RunError::Work { .. } => Failure::ContextTooLong,
        RunError::Fault(_) => Failure::Internal,
        error if error.is_own_trouble() => Failure::Internal,
        _ => Failure::BadRequest,
    };
    failed(failure, &error.to_string())
}

pub(crate) fn serve_failed(error: &ServeError) -> FailedFrame {
    let failure = match error {
        ServeError::Run(error) => return run_failed(error),
        ServeError::Busy { .. } | ServeError::Stopped => Failure::Busy,
        ServeError::TooLarge { .. } => Failure::ContextTooLong,
        ServeError::NotLanguage | ServeError::Thread { .. } => Failure::Internal,
    };
    failed(failure, &error.to_string())
}

/// The frame that tells a caller why there is no answer.
pub(crate) fn failed(failure: Failure, message: &str) -> FailedFrame {
    let message: String = message.chars().take(1_000).collect();
    FailedFrame { failure, message: Text::new(message).unwrap_or_default() }
}
