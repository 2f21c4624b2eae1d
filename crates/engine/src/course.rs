//! The course of one answer: when it ends, and which token comes next. Generating and checking both follow it.

use graph::sampling::{self, Choice};
use protocol::{Finish, Parameters};

use crate::tokenizer::{Detokenizer, Tokenizer};

/// What an answer does at one position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Token(u32),
    End(Finish),
}

/// The rules of an answer, the same at every position.
pub struct Rules<'a> {
    pub parameters: &'a Parameters,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens of prompt and answer together.
    pub context: usize,
    pub stop_tokens: &'a [u32],
}

pub struct Course<'a> {
    rules: Rules<'a>,
    detokenizer: Detokenizer<'a>,
    /// The end of the answer's text: as much as a stop text could still begin in.
    tail: String,
    /// Tokens of the answer.
    length: usize,
    stopped: bool,
}

impl<'a> Course<'a> {
    pub fn new(rules: Rules<'a>, tokenizer: &'a Tokenizer) -> Self {
        let detokenizer = Detokenizer::new(tokenizer);
        Self { rules, detokenizer, tail: String::new(), length: 0, stopped: false }
    }

    /// The end that was reached without another choice.
    pub fn ended(&self) -> Option<Finish> {
        if self.stopped {
            return Some(Finish::Stop);
        }
        let used_up = self.length >= self.rules.parameters.max_tokens as usize
            || self.rules.prompt + self.length >= self.rules.context;
        used_up.then_some(Finish::Length)
    }

    /// What these logits, of 16 fraction bits, make of the next position.
    pub fn step(&self, logits: &[i64]) -> Step {
        let parameters = self.rules.parameters;
        let choice = Choice {
            temperature_micros: parameters.temperature_micros,
            top_p_micros: parameters.top_p_micros,
            top_k: parameters.top_k,
            seed: parameters.seed,
            position: (self.rules.prompt + self.length) as u64,
        };
        let token = sampling::choose(logits, &choice) as u32;
        if self.rules.stop_tokens.contains(&token) { Step::End(Finish::Stop) } else { Step::Token(token) }
    }

    /// Goes on with a token of the answer.
    pub fn take(&mut self, token: u32) {
        self.length += 1;
        if self.rules.parameters.stop.is_empty() {
            return;
        }
        self.tail.push_str(&self.detokenizer.push(token));
        let stops = self.rules.parameters.stop.iter().filter(|stop| !stop.is_empty());
        self.stopped = stops.clone().any(|stop| self.tail.contains(&**stop));
        let longest = stops.map(|stop| stop.len()).max().unwrap_or(0);
        let mut cut = self.tail.len().saturating_sub(longest);
        while !self.tail.is_char_boundary(cut) {
            cut -= 1;
        }
        self.tail.drain(..cut);
    }
}
