//! `POST /v1/completions`: prompts as they are, without a template, with scores of their tokens where asked for.

use protocol::{Input, List, Prompt};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::{
    answer::{OgAnswer, OgAnswers, Usage, nats, og},
    call::{Call, Head, Job, Teller, usage},
    constraint::{constraint, format},
    error::{ApiError, Code},
    field::{Field, Object},
    json::Json,
    limits::{ALTERNATIVES_MAX, CONTENT_BYTES_MAX, PROMPTS_MAX, TOKENS_MAX},
    parameters::{flag, include_usage, max_tokens, model, sampling, stops, times},
    said::{End, Part, Said, SaidToken},
    sse::{Events, json},
    terms::{Terms, narrow},
    unsupported::{ENGINES, Unsupported, empty, never, on, refuse_unsupported},
};

/// Tokens of an answer where the caller names no number, as in the real service.
const ANSWER_TOKENS: u32 = 16;

static UNSUPPORTED: &[Unsupported] = &[
    Unsupported::new(
        "suffix",
        empty,
        "models here write on where a text ends, not into its middle",
        "let the prompt end where the answer is to begin",
    ),
    Unsupported::new("max_output_tokens", never, "it has another name here", "say max_tokens"),
    Unsupported::new("stop_sequences", empty, "it has another name here", "say stop"),
    Unsupported::new("tools", empty, "a prompt has no place for them", "POST /v1/chat/completions calls tools"),
    Unsupported::new(
        "add_special_tokens",
        on,
        "a text's tokens are what its tokenizer says",
        "send the prompt as tokens",
    ),
];

pub(crate) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let json = Json::parse(body)?;
    let body = Object::body(&json)?;
    let model = model(&body)?;
    [UNSUPPORTED, ENGINES].into_iter().try_for_each(|table| refuse_unsupported(&body, table))?;
    let terms = Terms::read(&body)?;
    let (stream, echo) = (flag(&body, "stream")?, flag(&body, "echo")?);
    let max_tokens = max_tokens(&body, &["max_tokens", "max_completion_tokens"], 0)?.unwrap_or(ANSWER_TOKENS);
    let (mut parameters, named) = sampling(&body, &terms, Some(max_tokens))?;
    parameters.stop = stops(&body, "stop")?;
    let wanted = body.get("logprobs").filter(|field| *field.json != Json::Flag(false));
    let wanted = wanted.map(|field| field.natural(0, ALTERNATIVES_MAX)).transpose()?;
    parameters.scores = wanted.map_or(0, |count| u8::try_from(count.saturating_add(1)).unwrap_or(u8::MAX));
    parameters.prompt_scores = echo && parameters.scores > 0;
    let wish = body.get("response_format").map(|field| format(&field, Some("json_schema"))).transpose()?.flatten();
    parameters.constraint = constraint(&body, &terms, wish)?;
    let has_scores = parameters.scores > 0;
    if let Some(field) = body.get("echo").filter(|_| stream && parameters.prompt_scores) {
        return Err(field.unsupported_value("the prompt's log-probabilities come with whole answers, not with streams"));
    }
    let times = times(&body)?;
    let job = |prompt| Job { echo, ..Job::new(Input::Prompt(prompt), parameters.clone(), named) };
    let prompts = prompts(&body.need("prompt")?)?;
    let jobs = Call::times(prompts.into_iter().map(job).collect(), times, "prompt")?;
    let include_usage = include_usage(&body, stream)?;
    let teller = Completing { include_usage, has_scores, lengths: vec![0; jobs.len()] };
    Ok(Call { model, jobs, terms, stream, calling: None, wants_thoughts: false, teller: Box::new(teller) })
}

/// A text, tokens, or a list of either.
pub(crate) fn prompts(field: &Field<'_>) -> Result<Vec<Prompt>, ApiError> {
    let Json::List(items) = field.json else { return Ok(vec![prompt(field)?]) };
    match items.first() {
        None => Err(ApiError::wrong_value(&field.path, "an empty array", "at least one prompt")),
        Some(Json::Natural(_)) => Ok(vec![prompt(field)?]),
        Some(_) => field.list(PROMPTS_MAX)?.iter().map(prompt).collect(),
    }
}

fn prompt(field: &Field<'_>) -> Result<Prompt, ApiError> {
    match field.json {
        Json::Text(_) => {
            field.text_of_at_most(CONTENT_BYTES_MAX)?;
            Ok(Prompt::Text(field.bounded()?))
        }
        Json::List(_) => {
            let max = usize::try_from(TOKENS_MAX).unwrap_or(usize::MAX);
            let tokens = field.list(max)?;
            if tokens.is_empty() {
                return Err(ApiError::wrong_value(&field.path, "an empty array", "at least one token"));
            }
            let read = |token: &Field<'_>| token.natural(0, u64::from(u32::MAX)).map(narrow);
            let tokens = tokens.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let too_many = |error: protocol::TooLong| ApiError::new(Code::TooMany, error.to_string());
            List::new(tokens).map(Prompt::Tokens).map_err(|error| too_many(error).with_param(&field.path))
        }
        other => Err(ApiError::wrong_type(&field.path, other.kind(), "a string or an array of tokens")),
    }
}

struct Completing {
    include_usage: bool,
    has_scores: bool,
    /// Characters of each answer that were told before, for the places of its tokens.
    lengths: Vec<usize>,
}

#[derive(Serialize)]
struct Scores<'a> {
    tokens: Vec<&'a str>,
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Vec<Option<BTreeMap<&'a str, f64>>>,
    text_offset: Vec<usize>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    text: &'a str,
    logprobs: Option<Scores<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    /// The first answer's text once more, where OpenGradient's SDK looks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    og: Option<OgAnswers>,
}

/// The scores of tokens, the first of which stands at `offset`; counts on.
fn scores<'a>(tokens: &'a [SaidToken], offset: &mut usize) -> Scores<'a> {
    let mut scores =
        Scores { tokens: Vec::new(), token_logprobs: Vec::new(), top_logprobs: Vec::new(), text_offset: Vec::new() };
    for token in tokens {
        let alternatives = || token.alternatives.iter().map(|(text, micros)| (text.as_str(), nats(*micros))).collect();
        scores.tokens.push(&token.text);
        scores.token_logprobs.push(token.logprob_micros.map(nats));
        scores.top_logprobs.push(token.logprob_micros.map(|_| alternatives()));
        scores.text_offset.push(*offset);
        *offset = offset.saturating_add(token.text.chars().count());
    }
    scores
}

fn finish_word(end: &End) -> &'static str {
    match end {
        End::Length => "length",
        End::Stop | End::StopText(_) | End::Calls | End::Complete => "stop",
    }
}

fn completion<'a>(head: &'a Head, choices: Vec<Choice<'a>>) -> Completion<'a> {
    let id = format!("cmpl-{}", head.id);
    let (created, model) = (head.created, head.model.as_str());
    Completion { id, object: "text_completion", created, model, choices, completion: None, usage: None, og: None }
}

impl Teller for Completing {
    fn whole(&self, head: &Head, said: &[Said]) -> String {
        let choices = said.iter().enumerate().map(|(index, said)| {
            let logprobs = self.has_scores.then(|| scores(&said.tokens, &mut 0));
            Choice { index, text: &said.text, logprobs, finish_reason: Some(finish_word(&said.end)) }
        });
        let mut whole = completion(head, choices.collect());
        whole.completion = said.first().map(|said| said.text.as_str());
        whole.usage = Some(usage(said));
        whole.og = Some(og(said));
        json(&whole)
    }

    fn part(&mut self, head: &Head, index: usize, part: &Part, events: &mut Events) {
        let mut offset = self.lengths.get(index).copied().unwrap_or_default();
        let logprobs = self.has_scores.then(|| scores(&part.tokens, &mut offset));
        let choice = Choice { index, text: &part.text, logprobs, finish_reason: None };
        events.json(&completion(head, vec![choice]));
        if let Some(length) = self.lengths.get_mut(index) {
            *length = offset;
        }
    }

    fn ended(&mut self, head: &Head, index: usize, said: &Said, events: &mut Events) {
        let choice = Choice { index, text: "", logprobs: None, finish_reason: Some(finish_word(&said.end)) };
        let mut chunk = completion(head, vec![choice]);
        if !self.include_usage {
            chunk.usage = Some(usage(std::slice::from_ref(said)));
            chunk.og = Some(OgAnswers::One(OgAnswer::from(&said.answered)));
        }
        events.json(&chunk);
    }

    fn end(&mut self, head: &Head, said: &[Said], events: &mut Events) {
        if self.include_usage {
            let mut chunk = completion(head, Vec::new());
            chunk.usage = Some(usage(said));
            chunk.og = Some(og(said));
            events.json(&chunk);
        }
        events.data("[DONE]");
    }
}
