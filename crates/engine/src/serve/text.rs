//! One text under way in the batch.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use graph::{Data, sampling::Scratch};

use super::{
    aside::{Aside, Errant},
    stream::{Event, Outbox},
    ticket::{Ticket, Wanted},
};
use crate::{
    cache::PAGE,
    course::{Course, Said, Step},
    language::{LanguageModel, Logits, Part, RunError},
    plan::{Lane, Workspace},
};

pub(super) struct Text<'a> {
    /// The prompt, then the answer so far.
    pub tokens: Vec<u32>,
    prompt: usize,
    pub lane: Lane,
    /// Memory that was promised to it.
    pub needed: usize,
    aim: Aim<'a>,
    outbox: Outbox,
    is_over: bool,
    /// The prompt was run, and nobody was told.
    was_read: bool,
}

enum Aim<'a> {
    Answer(Box<Answer<'a>>),
    Embedding,
}

struct Answer<'a> {
    course: Course<'a>,
    /// Where its guide is on an errand.
    errant: Option<Errant>,
    /// Logits of the next position, of 16 fraction bits, where the guide was not back when they were there.
    held: Option<Vec<i64>>,
}

/// Rows that a step has left.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    /// Of prompts.
    pub prompt: usize,
    /// Of these, such whose tokens are scored.
    pub scored: usize,
}

impl Budget {
    pub const ONE: Self = Self { prompt: 1, scored: 1 };
}

/// What a call of the model gave.
pub(super) struct Outputs<'c> {
    pub language: &'c LanguageModel,
    pub space: &'c Workspace,
    pub inputs: &'c [Data],
    pub aside: &'c Aside,
}

impl<'a> Text<'a> {
    /// A text of which `lane` has run the beginning.
    pub fn begin(language: &'a LanguageModel, ticket: Ticket, lane: Lane) -> Self {
        let Ticket { prompt: tokens, wanted, needed, outbox } = ticket;
        let aim = match wanted {
            Wanted::Answer(rules) => {
                Aim::Answer(Box::new(Answer { course: language.course(&tokens, *rules), errant: None, held: None }))
            }
            Wanted::Embedding => Aim::Embedding,
        };
        let prompt = tokens.len();
        let mut text = Self { tokens, prompt, lane, needed, aim, outbox, is_over: false, was_read: false };
        if let Aim::Answer(answer) = &text.aim
            && let Some(finish) = answer.course.ended_unread()
        {
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

    /// Whether the tokens of its prompt are scored.
    pub fn scores_prompt(&self) -> bool {
        match &self.aim {
            Aim::Answer(answer) => answer.course.scores_prompt(),
            Aim::Embedding => false,
        }
    }

    /// How many rows it may have in a step that has so many left.
    pub fn rows(&self, budget: Budget) -> usize {
        if self.is_over || self.holds() || !self.outbox.has_room() {
            0
        } else if self.is_reading() && self.scores_prompt() {
            self.pending().min(budget.prompt).min(budget.scored)
        } else if self.is_reading() {
            self.pending().min(budget.prompt)
        } else {
            1
        }
    }

    /// Whether its next token waits for nothing but its guide.
    fn holds(&self) -> bool {
        matches!(&self.aim, Aim::Answer(answer) if answer.held.is_some())
    }

    /// Whether the guide that its next token waited for is back.
    pub fn may_choose(&self) -> bool {
        match &self.aim {
            Aim::Answer(answer) => {
                !self.is_over && answer.held.is_some() && answer.errant.as_ref().is_none_or(Errant::is_back)
            }
            Aim::Embedding => false,
        }
    }

    /// Whether the logits behind a position are wanted.
    pub fn wants(&self, position: usize) -> bool {
        position + 1 == self.tokens.len() || position < self.prompt && self.scores_prompt()
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

    /// Goes on with the outputs of its wanted rows, the last of which may speak of the next token.
    pub fn go_on(&mut self, outputs: &Outputs, rows: Range<usize>) {
        self.guarded(|text| text.take_outputs(outputs, rows));
    }

    /// Goes on with the logits that it held until its guide came back.
    pub fn go_on_held(&mut self, language: &LanguageModel, aside: &Aside) {
        self.guarded(|text| {
            let held = if let Aim::Answer(answer) = &mut text.aim { answer.held.take() } else { None };
            held.map_or(Ok(()), |logits| {
                language.with_scratch(|scratch| text.advance(Ok(logits.as_slice()), scratch, aside))
            })
        });
    }

    /// A text does not outlive its failure, so none of it needs to be whole.
    fn guarded(&mut self, run: impl FnOnce(&mut Self) -> Result<(), RunError>) {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut *self)));
        if let Err(error) = outcome.unwrap_or(Err(RunError::Interrupted)) {
            self.end(Event::Failed(error));
        }
    }

    fn take_outputs(&mut self, outputs: &Outputs, rows: Range<usize>) -> Result<(), RunError> {
        let &Outputs { language, space, inputs, aside } = outputs;
        if matches!(self.aim, Aim::Embedding) {
            let embedding = language.embedding_of(space, inputs, rows.start)?;
            self.end(Event::Embedding(embedding));
            return Ok(());
        }
        // A row speaks of the token behind it.
        let first = self.lane.length - rows.len() + 1;
        for (position, row) in (first..).zip(rows) {
            language.with_logits(space, inputs, row, |logits, scratch| {
                match (self.tokens.get(position), &mut self.aim) {
                    (Some(&token), Aim::Answer(answer)) => answer.course.score_prompt(logits?, token),
                    _ => self.advance(logits, scratch, aside)?,
                }
                Ok::<(), RunError>(())
            })??;
        }
        Ok(())
    }

    fn advance(&mut self, mut logits: Logits, scratch: &mut Scratch, aside: &Aside) -> Result<(), RunError> {
        let Aim::Answer(answer) = &mut self.aim else { return Ok(()) };
        if self.tokens.len() == self.prompt {
            self.was_read = true;
            if answer.course.scores_prompt() {
                self.outbox.send(Part::PromptScores(answer.course.take_prompt_scores()));
            }
        }
        if let Some(errant) = &answer.errant {
            // A guide is sent out only where a step follows, which reads them.
            let read = logits?;
            let Some(outcome) = errant.take() else {
                answer.held = Some(read.to_vec());
                return Ok(());
            };
            answer.errant = None;
            answer.course.give_back(outcome?);
            logits = Ok(read);
        }
        let (Said { step, score }, errand) = answer.course.advance_ahead(logits, scratch)?;
        answer.errant = errand.map(|errand| aside.send(errand));
        match (step, answer.course.ended()) {
            (Step::End(finish), _) => self.end(Event::End(finish)),
            (Step::Token(token), ended) => {
                self.tokens.push(token);
                self.outbox.send(Part::Token { token, score });
                ended.into_iter().for_each(|finish| self.end(Event::End(finish)));
            }
        }
        Ok(())
    }

    pub fn end(&mut self, event: Event) {
        self.is_over = true;
        self.outbox.end(event);
    }
}
