//! Chat completions as they go back: whole, and as chunks.

use protocol::ToolCall;
use serde::Serialize;

use crate::{
    answer::{OgAnswer, OgAnswers, Usage, nats, og},
    call::{Head, Teller, usage},
    said::{End, Part, Said, SaidToken},
    sse::{Events, json},
};

pub(crate) struct Chatting {
    pub include_usage: bool,
    pub has_scores: bool,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Called<'a> {
    /// In chunks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Alternative<'a> {
    token: &'a str,
    logprob: f64,
    bytes: Option<&'a [u8]>,
}

#[derive(Serialize)]
struct Scored<'a> {
    token: &'a str,
    logprob: f64,
    bytes: Option<&'a [u8]>,
    top_logprobs: Vec<Alternative<'a>>,
}

#[derive(Serialize)]
struct Scores<'a> {
    content: Vec<Scored<'a>>,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    /// Of models that think.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Called<'a>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<Scores<'a>>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    usage: Usage,
    og: OgAnswers,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Called<'a>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<Scores<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    /// Empty in the last chunk of a client that asked for usage, as in the real service.
    choices: Vec<ChunkChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    og: Option<OgAnswers>,
}

fn id(head: &Head) -> String {
    format!("chatcmpl-{}", head.id)
}

fn called(calls: &[ToolCall], first: Option<usize>) -> Vec<Called<'_>> {
    calls
        .iter()
        .enumerate()
        .map(|(number, call)| Called {
            index: first.map(|first| first.saturating_add(number)),
            id: &call.id,
            r#type: "function",
            function: Function { name: &call.name, arguments: &call.arguments },
        })
        .collect()
}

/// A text's bytes, unless it stands for part of a character.
fn bytes(text: &str) -> Option<&[u8]> {
    (!text.contains(char::REPLACEMENT_CHARACTER)).then_some(text.as_bytes())
}

fn scores(tokens: &[SaidToken]) -> Scores<'_> {
    let scored = |token: &SaidToken| token.logprob_micros.map(nats).unwrap_or_default();
    let content = tokens
        .iter()
        .map(|token| Scored {
            token: &token.text,
            logprob: scored(token),
            bytes: bytes(&token.text),
            top_logprobs: token
                .alternatives
                .iter()
                .map(|(text, micros)| Alternative { token: text, logprob: nats(*micros), bytes: bytes(text) })
                .collect(),
        })
        .collect();
    Scores { content, refusal: None }
}

pub(crate) fn finish_word(end: &End) -> &'static str {
    match end {
        End::Length => "length",
        End::Calls => "tool_calls",
        End::Stop | End::StopText(_) | End::Complete => "stop",
    }
}

impl Chatting {
    fn choice<'a>(&self, index: usize, said: &'a Said) -> Choice<'a> {
        let content = (!said.text.is_empty() || said.calls.is_empty()).then_some(said.text.as_str());
        let reasoning_content = (!said.thought.is_empty()).then_some(said.thought.as_str());
        let tool_calls = called(&said.calls, None);
        let message = Message { role: "assistant", content, reasoning_content, refusal: None, tool_calls };
        let logprobs = self.has_scores.then(|| scores(&said.tokens));
        Choice { index, message, logprobs, finish_reason: finish_word(&said.end) }
    }

    fn chunk<'a>(&self, head: &'a Head, choices: Vec<ChunkChoice<'a>>) -> Chunk<'a> {
        let (id, created, model) = (id(head), head.created, head.model.as_str());
        Chunk { id, object: "chat.completion.chunk", created, model, choices, usage: None, og: None }
    }
}

impl Teller for Chatting {
    fn whole(&self, head: &Head, said: &[Said]) -> String {
        json(&Completion {
            id: id(head),
            object: "chat.completion",
            created: head.created,
            model: &head.model,
            choices: said.iter().enumerate().map(|(index, said)| self.choice(index, said)).collect(),
            usage: usage(said),
            og: og(said),
        })
    }

    /// The first chunk of each answer says who speaks.
    fn begin(&mut self, head: &Head, jobs: usize, events: &mut Events) {
        for index in 0..jobs {
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            let choice = ChunkChoice { index, delta, logprobs: None, finish_reason: None };
            events.json(&self.chunk(head, vec![choice]));
        }
    }

    fn part(&mut self, head: &Head, index: usize, part: &Part, events: &mut Events) {
        if !part.thought.is_empty() {
            let delta = Delta { reasoning_content: Some(&part.thought), ..Delta::default() };
            events.json(&self.chunk(head, vec![ChunkChoice { index, delta, logprobs: None, finish_reason: None }]));
        }
        if !part.text.is_empty() || !part.tokens.is_empty() {
            let delta = Delta { content: Some(&part.text), ..Delta::default() };
            let logprobs = self.has_scores.then(|| scores(&part.tokens));
            events.json(&self.chunk(head, vec![ChunkChoice { index, delta, logprobs, finish_reason: None }]));
        }
        if !part.calls.is_empty() {
            let delta = Delta { tool_calls: called(&part.calls, Some(part.calls_before)), ..Delta::default() };
            events.json(&self.chunk(head, vec![ChunkChoice { index, delta, logprobs: None, finish_reason: None }]));
        }
    }

    /// The chunk that says why an answer ended; it carries what the receipt says, unless a chunk of usage will.
    fn ended(&mut self, head: &Head, index: usize, said: &Said, events: &mut Events) {
        let finish_reason = Some(finish_word(&said.end));
        let choice = ChunkChoice { index, delta: Delta::default(), logprobs: None, finish_reason };
        let mut chunk = self.chunk(head, vec![choice]);
        if !self.include_usage {
            chunk.usage = Some(usage(std::slice::from_ref(said)));
            chunk.og = Some(OgAnswers::One(OgAnswer::from(&said.answered)));
        }
        events.json(&chunk);
    }

    fn end(&mut self, head: &Head, said: &[Said], events: &mut Events) {
        if self.include_usage {
            let mut chunk = self.chunk(head, Vec::new());
            chunk.usage = Some(usage(said));
            chunk.og = Some(og(said));
            events.json(&chunk);
        }
        events.data("[DONE]");
    }
}
