//! An answer while it comes and when it is whole, before any dialect tells it: thoughts, text, tool calls, scored tokens.
//!
//! What is signed for is the tokens; how they are told is ours. Stop texts are looked for in the text that tokens have, as workers do it, and
//! only what these let through is read further, with the marks that are tokens without text where they stand.

use std::collections::VecDeque;

use protocol::{Finish, ToolCall};

use crate::{
    answered::Answered,
    stop::StopText,
    thoughts::{Thinking, ThoughtReader},
    tools::{CallReader, Family},
};

/// A token with its score, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct SaidToken {
    pub text: String,
    /// In millionths of a nat; `None` for a prompt's first token, which nothing comes before.
    pub logprob_micros: Option<i32>,
    pub alternatives: Vec<(String, i32)>,
}

/// What has come since the part before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// What the model thought, which comes before all that it says.
    pub thought: String,
    pub text: String,
    pub calls: Vec<ToolCall>,
    /// Calls that came in parts before.
    pub calls_before: usize,
    /// Scored ones of what is said; those of thoughts are told nobody.
    pub tokens: Vec<SaidToken>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Stop,
    /// At this text of the caller's.
    StopText(String),
    Length,
    /// It calls tools.
    Calls,
    /// Tensors were computed.
    Complete,
}

/// A whole answer with its receipt. Where its parts were told as they came, they are not kept.
pub struct Said {
    pub thought: String,
    /// Tokens of thoughts and of their marks, where the model has any.
    pub thought_tokens: Option<u32>,
    pub text: String,
    pub calls: Vec<ToolCall>,
    /// Those of the answer, and before them those of the prompt where its scores were asked for.
    pub tokens: Vec<SaidToken>,
    /// What had been held back until the end.
    pub last: Part,
    pub end: End,
    pub answered: Answered,
}

impl Part {
    pub fn is_empty(&self) -> bool {
        self.thought.is_empty() && self.text.is_empty() && self.calls.is_empty() && self.tokens.is_empty()
    }
}

/// How an answer is read.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// How it calls tools, where any are offered.
    pub calls: Option<&'static Family>,
    /// How its model thinks, if it does, and whether the prompt has begun thoughts.
    pub thinks: Option<(&'static Thinking, bool)>,
    /// Whether it is told as a whole; else its parts are told as they come, and nobody needs them again.
    pub is_kept: bool,
}

/// Reads an answer as it comes: cuts it at stop texts, takes thoughts and calls of tools out of it.
#[derive(Clone)]
pub struct Reading {
    stop: StopText,
    /// Bytes of text that came, and those that were let through.
    come: usize,
    passed: usize,
    /// Marks that were not let through yet, each with the bytes of text before it.
    marks: VecDeque<(usize, &'static str)>,
    thoughts: Option<ThoughtReader>,
    calls: Option<CallReader>,
    /// Tokens that came, and those up to the end of thoughts.
    tokens: u32,
    thought_tokens: u32,
    call_count: usize,
    is_kept: bool,
    whole: Part,
}

impl Reading {
    /// `seed` makes the ids of calls.
    pub fn new<'a>(stops: impl IntoIterator<Item = &'a str>, manner: Manner, seed: &str) -> Self {
        Self {
            stop: StopText::new(stops),
            come: 0,
            passed: 0,
            marks: VecDeque::new(),
            thoughts: manner.thinks.map(|(way, is_begun)| ThoughtReader::new(way, is_begun)),
            calls: manner.calls.map(|family| CallReader::new(family, seed)),
            tokens: 0,
            thought_tokens: 0,
            call_count: 0,
            is_kept: manner.is_kept,
            whole: Part::default(),
        }
    }

    /// What a token adds: its text, or the mark that it is where it has none.
    pub fn push(&mut self, piece: &str, mark: Option<&'static str>, token: Option<SaidToken>) -> Part {
        let mut part = Part { calls_before: self.call_count, ..Part::default() };
        let was_inside = self.is_inside();
        self.marks.extend(mark.map(|mark| (self.come, mark)));
        self.come = self.come.saturating_add(piece.len());
        let text = self.stop.push(piece);
        self.pass(&text, &mut part);
        self.tokens = self.tokens.saturating_add(1);
        if was_inside || self.is_inside() {
            self.thought_tokens = self.tokens;
        } else {
            part.tokens.extend(token);
        }
        self.keep(part)
    }

    /// What was held back, when no more comes.
    pub fn finish(&mut self) -> Part {
        let mut part = Part { calls_before: self.call_count, ..Part::default() };
        let text = self.stop.finish();
        self.pass(&text, &mut part);
        if let Some(thoughts) = &mut self.thoughts {
            let mut said = String::new();
            thoughts.finish(&mut part.thought, &mut said);
            self.say(&said, &mut part);
        }
        if let Some(calls) = &mut self.calls {
            calls.finish(&mut part.text, &mut part.calls);
        }
        self.keep(part)
    }

    fn is_inside(&self) -> bool {
        self.thoughts.as_ref().is_some_and(ThoughtReader::is_inside)
    }

    /// Reads what stop texts let through, and the marks in it.
    fn pass(&mut self, text: &str, part: &mut Part) {
        let mut rest = text;
        while let Some((place, mark)) = self.marks.front().copied() {
            let Some((before, after)) = rest.split_at_checked(place.saturating_sub(self.passed)) else { break };
            self.marks.pop_front();
            self.hear(before, part);
            self.mark(mark, part);
            (self.passed, rest) = (place, after);
        }
        self.passed = self.passed.saturating_add(rest.len());
        self.hear(rest, part);
    }

    fn hear(&mut self, text: &str, part: &mut Part) {
        let Some(thoughts) = &mut self.thoughts else { return self.say(text, part) };
        let mut said = String::new();
        thoughts.push(text, &mut part.thought, &mut said);
        self.say(&said, part);
    }

    fn mark(&mut self, mark: &str, part: &mut Part) {
        let mut said = String::new();
        let is_for_calls =
            self.thoughts.as_mut().is_none_or(|thoughts| thoughts.mark(mark, &mut part.thought, &mut said));
        self.say(&said, part);
        if let Some(calls) = self.calls.as_mut().filter(|_| is_for_calls) {
            calls.mark(mark, &mut part.text, &mut part.calls);
        }
    }

    fn say(&mut self, text: &str, part: &mut Part) {
        match &mut self.calls {
            Some(calls) => calls.push(text, &mut part.text, &mut part.calls),
            None => part.text.push_str(text),
        }
    }

    fn keep(&mut self, part: Part) -> Part {
        self.call_count = self.call_count.saturating_add(part.calls.len());
        if self.is_kept {
            self.whole.thought.push_str(&part.thought);
            self.whole.text.push_str(&part.text);
            self.whole.calls.extend_from_slice(&part.calls);
            self.whole.tokens.extend_from_slice(&part.tokens);
        }
        part
    }

    /// The whole answer; every part has come.
    pub fn into_said(self, finish: Finish, answered: Answered) -> Said {
        let end = match (finish, self.stop.into_found()) {
            (Finish::Complete, _) => End::Complete,
            (Finish::Stop | Finish::Length | Finish::Cancelled, _) if self.call_count > 0 => End::Calls,
            (Finish::Length, None) => End::Length,
            (Finish::Stop | Finish::Cancelled, None) => End::Stop,
            (Finish::Stop | Finish::Length | Finish::Cancelled, Some(found)) => End::StopText(found),
        };
        let thought_tokens = self.thoughts.is_some().then_some(self.thought_tokens);
        let Part { thought, text, calls, tokens, calls_before: _ } = self.whole;
        Said { thought, thought_tokens, text, calls, tokens, last: Part::default(), end, answered }
    }
}
