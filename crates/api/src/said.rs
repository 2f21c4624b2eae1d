//! An answer while it comes and when it is whole, before any dialect tells it: text, tool calls, scored tokens.

use protocol::{Finish, ToolCall};

use crate::{
    answered::Answered,
    stop::StopText,
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
    pub text: String,
    pub calls: Vec<ToolCall>,
    /// Calls that came in parts before.
    pub calls_before: usize,
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

/// A whole answer with its receipt.
pub struct Said {
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
        self.text.is_empty() && self.calls.is_empty() && self.tokens.is_empty()
    }
}

/// Reads an answer's text as it comes: cuts it at stop texts and takes calls of tools out of it.
#[derive(Clone)]
pub struct Reading {
    stop: StopText,
    calls: Option<CallReader>,
    whole: Part,
}

impl Reading {
    /// `seed` makes the ids of calls.
    pub fn new<'a>(stops: impl IntoIterator<Item = &'a str>, family: Option<&'static Family>, seed: &str) -> Self {
        let calls = family.map(|family| CallReader::new(family, seed));
        Self { stop: StopText::new(stops), calls, whole: Part::default() }
    }

    pub fn push(&mut self, piece: &str, token: Option<SaidToken>) -> Part {
        let text = self.stop.push(piece);
        let part = self.take(text, token);
        self.keep(part)
    }

    /// What was held back, when no more comes.
    pub fn finish(&mut self) -> Part {
        let text = self.stop.finish();
        let mut part = self.take(text, None);
        if let Some(calls) = &mut self.calls {
            let (text, found) = calls.finish();
            part.text.push_str(&text);
            part.calls.extend(found);
        }
        self.keep(part)
    }

    fn take(&mut self, text: String, token: Option<SaidToken>) -> Part {
        let (text, calls) = match &mut self.calls {
            Some(calls) => calls.push(&text),
            None => (text, Vec::new()),
        };
        Part { text, calls, calls_before: self.whole.calls.len(), tokens: token.into_iter().collect() }
    }

    fn keep(&mut self, part: Part) -> Part {
        self.whole.text.push_str(&part.text);
        self.whole.calls.extend_from_slice(&part.calls);
        self.whole.tokens.extend_from_slice(&part.tokens);
        part
    }

    /// The whole answer; every part has come.
    pub fn into_said(self, finish: Finish, answered: Answered) -> Said {
        let end = match (finish, self.stop.into_found()) {
            (Finish::Complete, _) => End::Complete,
            (Finish::Stop | Finish::Length | Finish::Cancelled, _) if !self.whole.calls.is_empty() => End::Calls,
            (Finish::Length, None) => End::Length,
            (Finish::Stop | Finish::Cancelled, None) => End::Stop,
            (Finish::Stop | Finish::Length | Finish::Cancelled, Some(found)) => End::StopText(found),
        };
        let Part { text, calls, tokens, .. } = self.whole;
        Said { text, calls, tokens, last: Part::default(), end, answered }
    }
}
