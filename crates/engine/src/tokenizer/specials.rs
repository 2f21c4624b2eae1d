//! The special tokens of a tokenizer, and where they are in a text: found in one pass over it, however many there are.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::TokenizerError;

/// A token that only the chat template can write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Special {
    pub id: u32,
    pub content: String,
    /// Blanks behind it are not tokenised.
    pub strips_after: bool,
}

#[derive(Default)]
pub struct Specials {
    /// Longest first, so that the longest is found where several begin.
    list: Vec<Special>,
    /// Letters that they begin with, rising.
    first: Vec<char>,
    /// Made for whoever cuts a text; most only decode.
    finder: OnceLock<Result<AhoCorasick, String>>,
}

impl Specials {
    pub fn new(mut list: Vec<Special>) -> Self {
        list.sort_by_key(|special| std::cmp::Reverse(special.content.len()));
        let mut first: Vec<char> = list.iter().filter_map(|special| special.content.chars().next()).collect();
        first.sort_unstable();
        first.dedup();
        Self { list, first, finder: OnceLock::new() }
    }

    /// Longest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Special> {
        self.list.iter()
    }

    /// Whether one of them begins with this letter.
    pub fn begin_with(&self, letter: char) -> bool {
        self.first.binary_search(&letter).is_ok()
    }

    /// The first one in a text, and where it begins.
    pub fn find(&self, text: &str) -> Result<Option<(usize, &Special)>, TokenizerError> {
        let build = || {
            let contents = self.list.iter().map(|special| &special.content);
            let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(contents);
            finder.map_err(|cause| cause.to_string())
        };
        let finder = self.finder.get_or_init(build);
        let finder = finder.as_ref().map_err(|cause| TokenizerError::Specials { cause: cause.clone() })?;
        let found = finder.find(text);
        Ok(found.and_then(|found| Some((found.start(), self.list.get(found.pattern().as_usize())?))))
    }

    /// Whether a text begins with what one of them ends with behind its first letter, and so could complete one that was
    /// begun before the text.
    pub fn are_completed_by(&self, text: &str) -> bool {
        let longest = self.list.first().map_or(0, |special| special.content.len());
        let Some(head) = text.as_bytes().get(..longest.min(text.len())).filter(|head| !head.is_empty()) else {
            return false;
        };
        let borders = borders(head);
        self.list.iter().any(|special| {
            let bytes = special.content.bytes().skip(special.content.chars().next().map_or(0, char::len_utf8));
            bytes.fold(0, |length, byte| longer(head, &borders, length, byte)) > 0
        })
    }
}

/// Of each beginning of `head` the length of the longest shorter one that it ends with (Knuth, Morris and Pratt).
fn borders(head: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; head.len()];
    for at in 1..head.len() {
        borders[at] = longer(head, &borders, borders[at - 1], head[at]);
    }
    borders
}

/// The length of the longest beginning of `head` that a text ends with, which ended with one of `length` bytes before `byte`.
fn longer(head: &[u8], borders: &[usize], mut length: usize, byte: u8) -> usize {
    while length > 0 && head.get(length) != Some(&byte) {
        length = borders[length - 1];
    }
    if head.get(length) == Some(&byte) { length + 1 } else { 0 }
}
