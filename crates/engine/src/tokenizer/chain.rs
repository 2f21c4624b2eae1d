//! A word as a chain of symbols of which neighbours are joined.

use std::ops::Range;

/// Symbols by the place of their first letter; a joined one lives on in its left neighbour's place.
pub(super) struct Chain {
    ranges: Vec<Range<usize>>,
    /// Neighbours; the own place where there is none.
    before: Vec<usize>,
    next: Vec<usize>,
}

impl Chain {
    /// A symbol for each letter.
    pub fn letters(word: &str) -> Self {
        let ranges: Vec<_> = word.char_indices().map(|(at, letter)| at..at + letter.len_utf8()).collect();
        let count = ranges.len();
        let before = (0..count).map(|at| at.saturating_sub(1)).collect();
        let next = (0..count).map(|at| (at + 1).min(count - 1)).collect();
        Self { ranges, before, next }
    }

    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The neighbour behind a symbol that was not joined to another.
    pub fn next(&self, at: usize) -> Option<usize> {
        let alive = self.next[at] != at && !self.ranges[at].is_empty();
        alive.then(|| self.next[at])
    }

    pub fn before(&self, at: usize) -> Option<usize> {
        (self.before[at] != at).then(|| self.before[at])
    }

    pub fn join(&mut self, left: usize, right: usize) {
        self.ranges[left].end = self.ranges[right].end;
        self.ranges[right] = 0..0;
        match self.next[right] {
            next if next == right => self.next[left] = left,
            next => {
                self.next[left] = next;
                self.before[next] = left;
            }
        }
    }

    pub fn text<'a>(&self, word: &'a str, at: usize) -> &'a str {
        word.get(self.ranges[at].clone()).unwrap_or_default()
    }

    /// What two neighbours would be together.
    pub fn joined<'a>(&self, word: &'a str, left: usize, right: usize) -> &'a str {
        word.get(self.ranges[left].start..self.ranges[right].end).unwrap_or_default()
    }

    /// Places of the symbols that are left, in order.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|&at| !self.ranges[at].is_empty())
    }

    pub fn texts<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.places().map(|at| self.text(word, at))
    }
}
