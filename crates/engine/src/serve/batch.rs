//! The texts that run, and the steps that take them forward. Knows no thread and no clock: tests step it by hand.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use graph::Data;

use super::{
    Counts, Limits,
    aside::Aside,
    prefix::Prefixes,
    stream::Event,
    text::{Budget, Outputs, Text},
    ticket::{Admission, Ticket},
};
use crate::{
    cache::PAGE,
    kernel::Place,
    language::{LanguageModel, RunError},
    plan::{Chunk, Lane, Workspace},
};

pub(super) struct Batch<'a> {
    language: &'a LanguageModel,
    limits: Limits,
    /// In the order of their arrival.
    texts: Vec<Text<'a>>,
    prefixes: Prefixes,
    space: Workspace,
    rows: Rows,
    counts: Counts,
    aside: Arc<Aside>,
}

/// The rows of one call, kept so that the next need not allocate.
#[derive(Default)]
struct Rows {
    tokens: Vec<i32>,
    places: Vec<Place>,
    wanted: Vec<usize>,
}

/// What one text has in a call: its index, how many rows, and where its wanted rows are among the outputs.
#[derive(Clone, Copy)]
struct Share {
    text: usize,
    rows: usize,
    first_wanted: usize,
    wanted: usize,
}

/// A text and the wanted rows of a call that are its own.
struct Choosing<'t, 'a> {
    text: &'t mut Text<'a>,
    rows: Range<usize>,
}

impl<'a> Batch<'a> {
    pub fn new(language: &'a LanguageModel, limits: Limits, aside: Arc<Aside>) -> Self {
        let prefixes = Prefixes::new(language.plan().lane_bytes(PAGE));
        let (space, rows) = (Workspace::default(), Rows::default());
        Self { language, limits, texts: Vec::new(), prefixes, space, rows, counts: Counts::default(), aside }
    }

    pub fn counts(&self) -> Counts {
        Counts { running: self.texts.len(), prefix_bytes: self.prefixes.bytes(), ..self.counts }
    }

    /// Nothing can be done before something happens: no text, or all wait for their readers or their guides.
    pub fn is_idle(&self) -> bool {
        self.texts.iter().all(|text| text.rows(Budget::ONE) == 0 && !text.may_choose())
    }

    /// Whether a job can be begun; forgets prefixes where the memory is needed.
    pub fn admits(&mut self, ticket: &Ticket) -> Admission {
        let memory = self.limits.memory_bytes;
        if self.texts.len() >= self.limits.texts.max(1) {
            return Admission::Later;
        }
        let prompt = beginning(&ticket.prompt);
        let known = self.prefixes.known(prompt);
        if self.texts.iter().any(|text| text.is_reading() && text.common(prompt) > known) {
            return Admission::AfterOther;
        }
        let promised = self.counts.reserved_bytes.saturating_add(ticket.needed);
        if promised > memory {
            return Admission::Later;
        }
        while promised.saturating_add(self.prefixes.bytes()) > memory && self.prefixes.forget() {}
        Admission::Now
    }

    pub fn begin(&mut self, ticket: Ticket) {
        let recalled =
            if ticket.wanted.scores_prompt() { None } else { self.prefixes.recall(beginning(&ticket.prompt)) };
        let lane = recalled.unwrap_or_else(|| self.language.plan().lane());
        self.counts.rows_remembered += lane.length as u64;
        self.counts.reserved_bytes += ticket.needed;
        self.texts.push(Text::begin(self.language, ticket, lane));
    }

    /// Lets go of texts that ended and of those that nobody reads, and remembers what they began with.
    pub fn drop_left(&mut self) {
        let mut place = 0;
        while place < self.texts.len() {
            if self.texts[place].is_over() {
                let text = self.texts.remove(place);
                self.counts.reserved_bytes -= text.needed;
                self.remember(&text.tokens, &text.lane);
            } else {
                place += 1;
            }
        }
    }

    fn remember(&mut self, tokens: &[u32], lane: &Lane) {
        let wanted = tokens.len().min(lane.length) / PAGE * self.language.plan().lane_bytes(PAGE);
        let limit = self.limits.memory_bytes.saturating_sub(self.counts.reserved_bytes);
        while self.prefixes.bytes().saturating_add(wanted) > limit && self.prefixes.forget() {}
        self.prefixes.remember(tokens, lane, limit.saturating_sub(self.prefixes.bytes()));
    }

    /// Runs one call of the model over rows of many texts, and goes on with each.
    pub fn step(&mut self) {
        self.choose_held();
        let mut shares = self.shares();
        if !shares.is_empty() && self.call(&mut shares).is_err() {
            // Whose fault it is shows when each runs alone; the others lose nothing.
            for mut share in shares {
                if let Err(error) = self.call(std::slice::from_mut(&mut share)) {
                    self.texts[share.text].end(Event::Failed(error));
                }
            }
        }
        self.drop_left();
    }

    /// Which texts have how many rows in the next call.
    fn shares(&self) -> Vec<Share> {
        let prompt = self.limits.prompt_rows.max(1);
        // Whoever is alone holds nobody up.
        let is_alone = self.texts.iter().filter(|text| text.rows(Budget::ONE) > 0).nth(1).is_none();
        let scored = if is_alone { prompt } else { self.limits.scored_rows.max(1) };
        let mut budget = Budget { prompt, scored };
        let mut shares = Vec::with_capacity(self.texts.len());
        for (index, text) in self.texts.iter().enumerate() {
            let rows = text.rows(budget);
            if text.is_reading() {
                budget.prompt -= rows;
                budget.scored -= if text.scores_prompt() { rows } else { 0 };
            }
            if rows > 0 {
                shares.push(Share { text: index, rows, first_wanted: 0, wanted: 0 });
            }
        }
        shares
    }

    /// Chooses the tokens of which only the mask was missing, and is there now.
    fn choose_held(&mut self) {
        let before = self.length();
        let mut held: Vec<&mut Text<'a>> = self.texts.iter_mut().filter(|text| text.may_choose()).collect();
        let (language, aside) = (self.language, &*self.aside);
        language.plan().threads().each(&mut held, 1, 1, |_, texts| {
            texts.iter_mut().for_each(|text| text.go_on_held(language, aside));
        });
        self.counts.tokens += self.length() - before;
    }

    /// Tokens of all texts.
    fn length(&self) -> u64 {
        self.texts.iter().map(|text| text.tokens.len() as u64).sum()
    }

    /// Runs the rows of some texts in one call and chooses their next tokens.
    fn call(&mut self, shares: &mut [Share]) -> Result<(), RunError> {
        self.gather(shares);
        let inputs = [Data::I32(std::mem::take(&mut self.rows.tokens))];
        let outcome = self.run(shares, &inputs);
        if outcome.is_ok() {
            self.counts.steps += 1;
            self.counts.rows += self.rows.places.len() as u64;
            self.choose(shares, &inputs);
        }
        let [Data::I32(tokens)] = inputs else { return outcome };
        self.rows.tokens = tokens;
        outcome
    }

    /// Puts the rows of a call together: which tokens, of which texts, and whose logits are wanted.
    fn gather(&mut self, shares: &mut [Share]) {
        let Rows { tokens, places, wanted } = &mut self.rows;
        tokens.clear();
        places.clear();
        wanted.clear();
        for (lane, share) in shares.iter_mut().enumerate() {
            let text = &self.texts[share.text];
            let positions = text.lane.length..text.lane.length + share.rows;
            share.first_wanted = wanted.len();
            for position in positions {
                if text.wants(position) {
                    wanted.push(places.len());
                }
                tokens.push(text.tokens[position] as i32);
                places.push(Place { lane, position });
            }
            share.wanted = wanted.len() - share.first_wanted;
        }
    }

    fn run(&mut self, shares: &[Share], inputs: &[Data]) -> Result<(), RunError> {
        let mut lanes = Vec::with_capacity(shares.len());
        let mut texts = shares.iter().map(|share| share.text).peekable();
        for (index, text) in self.texts.iter_mut().enumerate() {
            if texts.next_if_eq(&index).is_some() {
                lanes.push(&mut text.lane);
            }
        }
        let chunk = Chunk { inputs, places: &self.rows.places, wanted: &self.rows.wanted };
        let (plan, space) = (self.language.plan(), &mut self.space);
        // A kernel's panic is a fault of what it was given: no lane has grown, and the call may be repeated.
        let outcome = catch_unwind(AssertUnwindSafe(|| plan.run(space, &mut lanes, &chunk)));
        Ok(outcome.map_err(|_| RunError::Interrupted)??)
    }

    /// Chooses the next tokens from a call's logits, on all threads: what is long for one text delays no other.
    fn choose(&mut self, shares: &[Share], inputs: &[Data]) {
        let before = self.length();
        let mut choosing = Vec::with_capacity(shares.len());
        let mut shares = shares.iter().peekable();
        for (index, text) in self.texts.iter_mut().enumerate() {
            let Some(share) = shares.next_if(|share| share.text == index) else { continue };
            if share.wanted > 0 {
                let rows = share.first_wanted..share.first_wanted + share.wanted;
                choosing.push(Choosing { text, rows });
            }
        }
        let (language, space, aside) = (self.language, &self.space, &*self.aside);
        let outputs = Outputs { language, space, inputs, aside };
        language.plan().threads().each(&mut choosing, 1, 1, |_, choosing| {
            for Choosing { text, rows } in choosing {
                text.go_on(&outputs, rows.clone());
            }
        });
        self.counts.tokens += self.length() - before;
        let were_read: Vec<(Vec<u32>, Lane)> = self.texts.iter_mut().filter_map(Text::take_read).collect();
        were_read.iter().for_each(|(prompt, lane)| self.remember(prompt, lane));
    }
}

/// What of a prompt may be remembered: its last token is always run, since the answer begins with its logits.
fn beginning(prompt: &[u32]) -> &[u32] {
    &prompt[..prompt.len().saturating_sub(1)]
}
