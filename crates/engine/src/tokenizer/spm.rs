//! Merges of neighbours by the score of what they become, as SentencePiece's pair vocabularies do.

use std::{cmp::Ordering, collections::BinaryHeap, collections::HashMap};

use super::chain::Chain;

/// An offer to join two neighbours: the greatest score first, among equals the leftmost.
struct Offer {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

impl Ord for Offer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Offer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Offer {}

/// The tokens of a text, or the letters that have none.
pub(super) fn merge<'a>(
    text: &'a str,
    index: &HashMap<Box<str>, u32>,
    scores: &[f32],
    each: &mut dyn FnMut(Option<u32>, &'a str),
) {
    let mut chain = Chain::letters(text);
    let mut queue = BinaryHeap::new();
    let offer = |chain: &Chain, left: usize, right: usize, queue: &mut BinaryHeap<Offer>| {
        let joined = chain.joined(text, left, right);
        if let Some(&token) = index.get(joined) {
            let score = scores.get(token as usize).copied().unwrap_or(0.0);
            queue.push(Offer { score, left, right, length: joined.len() });
        }
    };
    for left in 1..chain.len() {
        offer(&chain, left - 1, left, &mut queue);
    }
    while let Some(Offer { left, right, length, .. }) = queue.pop() {
        // What has changed since it was offered is passed over.
        if chain.next(left) != Some(right) || chain.joined(text, left, right).len() != length {
            continue;
        }
        chain.join(left, right);
        if let Some(before) = chain.before(left) {
            offer(&chain, before, left, &mut queue);
        }
        if let Some(next) = chain.next(left) {
            offer(&chain, left, next, &mut queue);
        }
    }
    for at in chain.places() {
        let text = chain.text(text, at);
        each(index.get(text).copied(), text);
    }
}
