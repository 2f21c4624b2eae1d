//! A job that was checked, and whether the batch can begin it.

use super::stream::Outbox;
use crate::course::Rules;

pub(super) struct Ticket {
    pub prompt: Vec<u32>,
    pub wanted: Wanted,
    /// Memory that the text needs when it is as long as it may become.
    pub needed: usize,
    pub outbox: Outbox,
}

/// What is to come of a text.
pub(super) enum Wanted {
    /// What the model says next, by these rules.
    Answer(Box<Rules>),
    /// Where it lies.
    Embedding,
}

impl Wanted {
    /// Whether the prompt's own tokens are scored.
    pub fn scores_prompt(&self) -> bool {
        match self {
            Self::Answer(rules) => rules.scores_prompt(),
            Self::Embedding => false,
        }
    }
}

/// Whether a waiting text can be begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    Now,
    AfterOther,
    Later,
}
