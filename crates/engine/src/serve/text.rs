//! One text under way in the batch.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use graph::{Data, sampling::Scratch};

use super::{
    stream::{Event, Outbox},
    ticket::Ticket,
};
use crate::{
    cache::PAGE,
    course::{Course, Said, Step},
    language::{LanguageModel, Part, RunError},
    plan::{Lane, Workspace},
};

pub(super) struct Text<'a> {
    /// The prompt, then the answer so far.
    pub tokens: Vec<u32>,
    prompt: usize,
    pub lane: Lane,
    /// Memory that was promised to it.
    pub needed: usize,
    course: Course<'a>,
    outbox: Outbox,
    is_over: bool,
    /// The prompt was run, and nobody was told.
    was_read: bool,
}

impl<'a> Text<'a> {
    /// A text of which `lane` has run the beginning.
    pub fn begin(language: &'a LanguageModel, ticket: Ticket, lane: Lane) -> Self {
        let Ticket { prompt: tokens, rules, needed, outbox } = ticket;
        let course = language.course(&tokens, rules);
        let (prompt, ended) = (tokens.len(), course.ended().filter(|_| !course.scores_prompt()));
        let mut text = Self { tokens, prompt, lane, needed, course, outbox, is_over: false, was_read: false };
        if let Some(finish) = ended {
            text.end(Event::End(finish));
        }
        text
    }

    /// Tokens that were not run.
    pub fn pending(&self) -> usize {
        self.tokens.len() - self.lane.length
    }

    /// More of its prompt is to be run than one row.
    pub fn is_reading(&self) -> bool {
        self.pending() > 1
    }

    /// How many rows it may have in a step that has so many left for prompts.
    pub fn rows(&self, budget: usize) -> usize {
        if self.is_over || !self.outbox.has_room() {
            0
        } else if self.is_reading() {
            self.pending().min(budget)
        } else {
            1
        }
    }

    /// Whether the logits behind a position are wanted.
    pub fn wants(&self, position: usize) -> bool {
        position + 1 == self.tokens.len() || position < self.prompt && self.course.scores_prompt()
    }

    /// Whether the text ended, or nobody reads it.
    pub fn is_over(&self) -> bool {
        self.is_over || self.outbox.is_left()
    }

    /// Tokens of whole pages that its prompt has in common with another.
    pub fn common(&self, prompt: &[u32]) -> usize {
        let pages = self.tokens[..self.prompt].chunks_exact(PAGE).zip(prompt.chunks_exact(PAGE));
        pages.take_while(|(ours, theirs)| ours == theirs).count() * PAGE
    }

    /// Once, when all of the prompt was run: its tokens, and what was computed of them.
    pub fn take_read(&mut self) -> Option<(Vec<u32>, Lane)> {
        std::mem::take(&mut self.was_read).then(|| (self.tokens[..self.prompt].to_vec(), self.lane.share(self.prompt)))
    }

    /// Goes on with the logits of its wanted rows, the last of which may speak of the next token.
    pub fn go_on(&mut self, language: &LanguageModel, space: &Workspace, inputs: &[Data], rows: Range<usize>) {
        let run = || {
            // A row speaks of the token behind it.
            let first = self.lane.length - rows.len() + 1;
            for (position, row) in (first..).zip(rows) {
                language.with_logits(space, inputs, row, |logits, scratch| match self.tokens.get(position) {
                    Some(&token) => {
                        self.course.score_prompt(logits, token);
                        Ok(())
                    }
                    None => self.advance(logits, scratch),
                })??;
            }
            Ok(())
        };
        // A text does not outlive its failure, so none of it needs to be whole.
        let outcome = catch_unwind(AssertUnwindSafe(run));
        if let Err(error) = outcome.unwrap_or(Err(RunError::Interrupted)) {
            self.end(Event::Failed(error));
        }
    }

    fn advance(&mut self, logits: &[i64], scratch: &mut Scratch) -> Result<(), RunError> {
        if self.tokens.len() == self.prompt {
            self.was_read = true;
            if self.course.scores_prompt() {
                self.outbox.send(Part::PromptScores(self.course.take_prompt_scores()));
            }
        }
        let Said { step, score } = self.course.advance(logits, scratch)?;
        match step {
            Step::End(finish) => self.end(Event::End(finish)),
            Step::Token(token) => {
                self.tokens.push(token);
                self.outbox.send(Part::Token { token, score });
                self.course.ended().into_iter().for_each(|finish| self.end(Event::End(finish)));
            }
        }
        Ok(())
    }

    pub fn end(&mut self, event: Event) {
        self.is_over = true;
        self.outbox.end(event);
    }
}
