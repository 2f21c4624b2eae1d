//! Merges of neighbours by rank: how most vocabularies make tokens of a word's letters.

use std::{cmp::Reverse, collections::BinaryHeap, collections::HashMap};

use super::{TokenizerError, chain::Chain, cuts::Cutter};

/// No symbol has this number.
const NOTHING: u32 = u32::MAX;

pub(super) struct Bpe {
    pub cutter: Cutter,
    /// Letters stand for themselves; else each stands for a byte.
    pub raw: bool,
    /// A word that is a token is not merged.
    pub whole: bool,
    /// Two symbols that become one: its rank and its number.
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// Numbers of texts that merges speak of and the vocabulary lacks.
    others: HashMap<Box<str>, u32>,
}

impl Bpe {
    /// Reads merges, each two texts with a blank between them, in the order of their ranks.
    pub fn new<'a>(
        cutter: Cutter,
        (raw, whole): (bool, bool),
        merges: impl Iterator<Item = &'a str>,
        index: &HashMap<Box<str>, u32>,
        tokens: u32,
    ) -> Result<Self, TokenizerError> {
        let mut bpe = Self { cutter, raw, whole, merges: HashMap::new(), others: HashMap::new() };
        let mut joined = String::new();
        for (rank, merge) in merges.enumerate() {
            // The first text may itself begin with a blank.
            let blank = merge.char_indices().skip(1).find(|(_, letter)| *letter == ' ').map(|(at, _)| at);
            let parts = blank.and_then(|at| Some((merge.get(..at)?, merge.get(at + 1..)?)));
            let (left, right) = parts.ok_or(TokenizerError::Merge { index: rank })?;
            joined.clear();
            joined.extend([left, right]);
            let mut number = |text: &str| {
                let next = tokens.saturating_add(bpe.others.len() as u32);
                index.get(text).copied().unwrap_or_else(|| *bpe.others.entry(text.into()).or_insert(next))
            };
            let pair = (number(left), number(right));
            let merged = number(&joined);
            // Of two equal merges the first one counts.
            bpe.merges.entry(pair).or_insert((rank as u32, merged));
        }
        Ok(bpe)
    }

    /// The symbols of a word of letters, with the part of the word that each stands for.
    pub fn merge<'a>(&self, word: &'a str, index: &HashMap<Box<str>, u32>, each: &mut dyn FnMut(Option<u32>, &'a str)) {
        let number = |text: &str| index.get(text).or_else(|| self.others.get(text)).copied().unwrap_or(NOTHING);
        let mut chain = Chain::letters(word);
        let mut symbols: Vec<u32> = chain.texts(word).map(number).collect();
        let mut queue = BinaryHeap::new();
        let offer = |symbols: &[u32], left: usize, right: usize, queue: &mut BinaryHeap<_>| {
            let pair = (symbols[left], symbols[right]);
            if let Some(&(rank, merged)) = self.merges.get(&pair) {
                queue.push(Reverse((rank, left, right, pair, merged)));
            }
        };
        for left in 1..symbols.len() {
            offer(&symbols, left - 1, left, &mut queue);
        }
        while let Some(Reverse((_, left, right, pair, merged))) = queue.pop() {
            // What has changed since it was offered is passed over.
            if chain.next(left) != Some(right) || (symbols[left], symbols[right]) != pair {
                continue;
            }
            chain.join(left, right);
            symbols[left] = merged;
            if let Some(before) = chain.before(left) {
                offer(&symbols, before, left, &mut queue);
            }
            if let Some(next) = chain.next(left) {
                offer(&symbols, left, next, &mut queue);
            }
        }
        for at in chain.places() {
            let text = chain.text(word, at);
            each(index.get(text).copied(), text);
        }
    }
}

/// The letter that stands for a byte: itself where it can be seen, else one from U+0100 on.
pub(super) fn letter(byte: u8) -> char {
    let code = u32::from(byte);
    let shift = match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => code,
        0..=0x20 => 0x100 + code,
        0x7f..=0xa0 => 0x100 + 33 + code - 0x7f,
        0xad => 0x143,
    };
    char::from_u32(shift).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a letter stands for.
pub(super) fn byte(letter: char) -> Option<u8> {
    let code = u32::from(letter);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_letter_and_every_such_letter_its_byte() {
        for value in 0..=255 {
            assert_eq!(byte(letter(value)), Some(value));
        }
        assert_eq!((letter(b' '), letter(b'\n'), letter(b'a'), byte('日')), ('Ġ', 'Ċ', 'a', None));
    }
}
