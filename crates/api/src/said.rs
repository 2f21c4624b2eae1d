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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERMES: &str = "<tool_call> </think>";
    const GENERIC: &str = "</think>";

    fn reading(template: &str, is_begun: bool, stops: &[&str]) -> Reading {
        let thinks = Thinking::of(template).map(|way| (way, is_begun));
        let manner = Manner { calls: Some(Family::of(template)), thinks, is_kept: true };
        Reading::new(stops.iter().copied(), manner, "seed")
    }

    /// What came of pieces and marks: the whole, and all parts together.
    fn read(mut reading: Reading, tokens: &[(&str, Option<&'static str>)]) -> Reading {
        let mut all = Part::default();
        let mut add = |part: Part| {
            all.thought.push_str(&part.thought);
            all.text.push_str(&part.text);
            assert_eq!(part.calls_before, all.calls.len());
            all.calls.extend(part.calls);
        };
        tokens.iter().for_each(|(text, mark)| add(reading.push(text, *mark, None)));
        add(reading.finish());
        assert_eq!(all, reading.whole);
        reading
    }

    fn told(reading: &Reading) -> (&str, &str, Vec<&str>) {
        let Part { thought, text, calls, .. } = &reading.whole;
        (thought, text, calls.iter().map(|call| &call.name[..]).collect())
    }

    #[test]
    fn a_call_behind_thoughts_is_one_also_where_calls_open_only_at_the_start() {
        let text = "<think>{\"name\":\"no\"}</think>\n\n{\"name\":\"now\"}";
        let read = read(reading(GENERIC, false, &[]), &[(text, None)]);
        assert_eq!(told(&read), ("{\"name\":\"no\"}", "", vec!["now"]));
    }

    #[test]
    fn a_stop_text_is_looked_for_in_what_tokens_say_and_a_mark_behind_it_opens_nothing() {
        let tokens = [("a", None), ("EN", None), ("", Some("<tool_call>")), ("D{\"name\":\"now\"}", None)];
        assert_eq!(told(&read(reading(HERMES, false, &["END"]), &tokens)), ("", "a", vec![]));
        assert_eq!(told(&read(reading(HERMES, false, &["EN!"]), &tokens)), ("", "aEND{\"name\":\"now\"}", vec![]));
        let tokens = [("a", None), ("", Some("<tool_call>")), ("{\"name\":\"now\"}", None), ("", Some("</tool_call>"))];
        assert_eq!(told(&read(reading(HERMES, false, &["END"]), &tokens)), ("", "a", vec!["now"]));
    }

    #[test]
    fn tokens_of_thoughts_are_counted_with_their_marks_and_their_scores_are_not_told() {
        let scored = || Some(SaidToken { text: "x".to_owned(), logprob_micros: Some(-1), alternatives: Vec::new() });
        let mut reading = reading(GENERIC, true, &[]);
        let parts = ["hm", "</think>", "\n", "Two"].map(|text| reading.push(text, None, scored()));
        assert_eq!(parts.map(|part| part.tokens.len()), [0, 0, 1, 1]);
        assert_eq!(reading.thought_tokens, 2);
    }

    #[test]
    fn parts_that_were_told_are_not_kept() {
        let manner = Manner { calls: Some(Family::of(HERMES)), thinks: None, is_kept: false };
        let mut reading = Reading::new([], manner, "seed");
        let part = reading.push("a<tool_call>{\"name\":\"now\"}</tool_call>", None, None);
        assert_eq!((part.text.as_str(), part.calls.len(), reading.call_count), ("a", 1, 1));
        assert_eq!(reading.whole, Part::default());
    }

    proptest! {
        #[test]
        fn an_answer_is_read_the_same_however_it_is_cut(
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8), is_begun: bool,
        ) {
            let text = "<think>\na < b\n</think>\n\nSo.<tool_call>\n{\"name\":\"now\"}\n</tool_call>";
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| (&text[cut[0]..cut[1]], None)).collect();
            let read = read(reading(HERMES, is_begun, &[]), &pieces);
            prop_assert_eq!(told(&read), ("a < b\n", "So.", vec!["now"]));
        }
    }
}
