//! Keeps what callers write apart from what templates write, while both are one text.

use super::MARK;
use crate::tokenizer::{Special, Tokenizer, TokenizerError};

/// How texts of callers are marked for one tokenizer and one template.
pub(super) struct Marks<'a> {
    specials: &'a [Special],
    /// Letters that a special token begins with.
    first: Vec<char>,
    /// What the template looks for in contents, and no special token begins with.
    tags: Vec<&'a str>,
}

impl<'a> Marks<'a> {
    pub fn new(specials: &'a [Special], tags: &'a [String]) -> Self {
        let mut first: Vec<char> = specials.iter().filter_map(|special| special.content.chars().next()).collect();
        first.sort_unstable();
        first.dedup();
        let own = |tag: &&str| !specials.iter().any(|special| tag.contains(&*special.content));
        Self { specials, first, tags: tags.iter().map(String::as_str).filter(own).collect() }
    }

    /// Puts a mark behind everything in `text` that could begin a special token, and before a beginning that could
    /// complete one which the template's text before it began. A whole tag that the template itself looks for is left
    /// as it is, else its logic would not find it: what takes such a tag out takes all of it.
    pub fn marked(&self, text: &str) -> String {
        let mut marked = String::with_capacity(text.len() + 8);
        let completes = |special: &Special| {
            let mut ends = special.content.char_indices().skip(1);
            ends.any(|(at, _)| special.content.get(at..).is_some_and(|rest| text.starts_with(rest)))
        };
        if self.specials.iter().any(completes) {
            marked.push(MARK);
        }
        for (at, letter) in text.char_indices() {
            marked.push(letter);
            let rest = text.get(at..).unwrap_or_default();
            if self.first.binary_search(&letter).is_ok() && !self.tags.iter().any(|tag| rest.starts_with(tag)) {
                marked.push(MARK);
            }
        }
        marked
    }
}

/// Cuts a rendering at its special tokens and tokenises what lies between.
pub(super) fn tokens(tokenizer: &Tokenizer, rendered: &str) -> Result<Vec<u32>, TokenizerError> {
    let mut first: Vec<char> =
        tokenizer.specials().iter().filter_map(|special| special.content.chars().next()).collect();
    first.sort_unstable();
    first.dedup();
    let mut tokens = Vec::new();
    let mut plain = String::new();
    let mut rest = rendered;
    while let Some(letter) = rest.chars().next() {
        let begins = first.binary_search(&letter).is_ok();
        let mut specials = tokenizer.specials().iter().filter(|_| begins);
        if let Some(special) = specials.find(|special| rest.starts_with(&special.content)) {
            tokens.extend(tokenizer.encode(&std::mem::take(&mut plain))?);
            tokens.push(special.id);
            rest = rest.get(special.content.len()..).unwrap_or_default();
            if special.strips_after {
                rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == MARK);
            }
            continue;
        }
        if letter != MARK {
            plain.push(letter);
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    tokens.extend(tokenizer.encode(&plain)?);
    Ok(tokens)
}
