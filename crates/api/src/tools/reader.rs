//! Calls are taken out of an answer as it comes, whole ones only. What has come is looked through once, and not all of it is held: an answer
//! may be long, and others wait for the thread.

use protocol::{Text, ToolCall, request::TOOL_CALLS_MAX};

use super::Family;
use crate::{begun::begun, limits::CALLS_BYTES_MAX};

/// Where the reading stands.
#[derive(Clone, Copy)]
enum Place {
    /// Nothing but white space has come.
    Start,
    /// In text.
    Text,
    /// Behind a call: white space between two calls is nobody's text.
    Between,
    /// Behind an opening, which stands before what is held if it is text.
    Inside { opening: &'static str },
}

/// Takes calls out of a text that comes in pieces, with marks between them where these are tokens without text.
#[derive(Clone)]
pub struct CallReader {
    family: &'static Family,
    seed: String,
    place: Place,
    held: String,
    /// How much of it was looked through in vain.
    searched: usize,
    /// Inside of calls: what is shown of it if they cannot be read. Marks that are tokens are no part of an answer's text.
    plain: String,
    count: usize,
}

impl CallReader {
    pub fn new(family: &'static Family, seed: &str) -> Self {
        let (held, plain) = (String::new(), String::new());
        Self { family, seed: seed.to_owned(), place: Place::Start, held, searched: 0, plain, count: 0 }
    }

    /// Adds the text that can be shown and the calls that are whole after `piece` has come.
    pub fn push(&mut self, piece: &str, shown: &mut String, calls: &mut Vec<ToolCall>) {
        self.held.push_str(piece);
        if let Place::Inside { .. } = self.place {
            self.plain.push_str(piece);
        }
        while self.step(shown, calls) {}
    }

    /// The same after a token that is one of the family's marks and has no text.
    pub fn mark(&mut self, mark: &str, shown: &mut String, calls: &mut Vec<ToolCall>) {
        match self.place {
            Place::Inside { .. } => self.held.push_str(mark),
            Place::Start | Place::Text | Place::Between if self.family.opens.contains(&mark) => {
                shown.push_str(&self.held);
                self.open("", self.held.len());
            }
            // It belongs to no call, and is nothing to show.
            Place::Start | Place::Text | Place::Between => {}
        }
        while self.step(shown, calls) {}
    }

    /// Adds what was held back, when no more comes.
    pub fn finish(&mut self, shown: &mut String, calls: &mut Vec<ToolCall>) {
        let (rest, plain) = (std::mem::take(&mut self.held), std::mem::take(&mut self.plain));
        let opening = match self.place {
            Place::Inside { opening } => opening,
            Place::Start | Place::Text | Place::Between => return shown.push_str(&rest),
        };
        match self.read(&rest) {
            Some(read) => calls.extend(read),
            None => [opening, &plain].into_iter().for_each(|text| shown.push_str(text)),
        }
    }

    /// One step; false where more text is needed.
    fn step(&mut self, shown: &mut String, calls: &mut Vec<ToolCall>) -> bool {
        match self.place {
            Place::Start => self.start(),
            Place::Text => self.text(shown),
            Place::Between => self.between(),
            Place::Inside { opening } => self.inside(opening, shown, calls),
        }
    }

    fn start(&mut self) -> bool {
        let come = self.held.get(self.searched..).unwrap_or_default().trim_start();
        let (begin, openings) = (self.held.len().saturating_sub(come.len()), self.family.opens_at_start);
        if openings.iter().any(|open| come.starts_with(open)) {
            self.open("", begin);
        } else if come.is_empty() || openings.iter().any(|open| open.starts_with(come)) {
            self.searched = begin;
            return false;
        } else {
            (self.place, self.searched) = (Place::Text, 0);
        }
        true
    }

    fn text(&mut self, shown: &mut String) -> bool {
        let opens = self.family.opens.iter().filter_map(|open| Some((self.held.find(open)?, *open)));
        if let Some((at, opening)) = opens.min_by_key(|(at, _)| *at) {
            shown.push_str(self.held.get(..at).unwrap_or_default());
            self.open(opening, at.saturating_add(opening.len()));
            return true;
        }
        let kept = self.held.split_off(begun(&self.held, self.family.opens));
        shown.push_str(&std::mem::replace(&mut self.held, kept));
        false
    }

    /// Goes inside: what is held from `begin` on stands behind the opening.
    fn open(&mut self, opening: &'static str, begin: usize) {
        self.held = self.held.get(begin..).unwrap_or_default().to_owned();
        self.plain.clone_from(&self.held);
        (self.place, self.searched) = (Place::Inside { opening }, 0);
    }

    fn inside(&mut self, opening: &'static str, shown: &mut String, calls: &mut Vec<ToolCall>) -> bool {
        let close = self.close();
        if close.is_none() && self.held.len() <= CALLS_BYTES_MAX {
            return false;
        }
        let (end, behind) = close.unwrap_or((self.held.len(), self.held.len()));
        let rest = self.held.split_off(behind);
        let whole = std::mem::replace(&mut self.held, rest);
        let plain = std::mem::take(&mut self.plain);
        // Nobody's call is as long as what is held at most.
        let read = close.and_then(|_| self.read(whole.get(..end).unwrap_or_default()));
        (self.place, self.searched) = match read {
            Some(read) => {
                calls.extend(read);
                (Place::Between, 0)
            }
            None => {
                // A close is seen with the piece that brings it, so that no mark stands in what is left.
                let without_rest = plain.len().saturating_sub(self.held.len());
                shown.push_str(opening);
                shown.push_str(plain.get(..without_rest).unwrap_or_default());
                (Place::Text, 0)
            }
        };
        true
    }

    /// Where the close begins and where it ends.
    fn close(&mut self) -> Option<(usize, usize)> {
        let close = self.family.close?;
        let from = self.searched;
        // It may have begun with what has come.
        let seen = self.held.len().saturating_sub(close.len().saturating_sub(1)).max(from);
        self.searched = self.held.floor_char_boundary(seen);
        let at = from.saturating_add(self.held.get(from..)?.find(close)?);
        Some((at, at.saturating_add(close.len())))
    }

    fn between(&mut self) -> bool {
        self.held = self.held.trim_start().to_owned();
        if self.held.is_empty() {
            return false;
        }
        self.place = Place::Text;
        true
    }

    /// The calls of a text; of one that holds anything that no message could carry, none.
    fn read(&mut self, text: &str) -> Option<Vec<ToolCall>> {
        let spoken = (self.family.read)(text)?;
        let count = self.count.saturating_add(spoken.len());
        if count > TOOL_CALLS_MAX {
            return None;
        }
        let mut calls = Vec::with_capacity(spoken.len());
        for (number, spoken) in (self.count..).zip(spoken) {
            calls.push(ToolCall {
                id: Text::new(self.id(number)).ok()?,
                name: Text::new(spoken.name).ok()?,
                arguments: Text::new(spoken.arguments).ok()?,
            });
        }
        self.count = count;
        Some(calls)
    }

    /// An id that no other call of any answer has: the answer's own id and the call's number.
    fn id(&self, number: usize) -> String {
        let seed: String = self.seed.chars().take(24).collect();
        if self.family.has_short_ids {
            let start: String = seed.chars().take(6).collect();
            format!("{start:0<6}{:03}", number % 1_000)
        } else {
            format!("call_{seed}{number}")
        }
    }
}
