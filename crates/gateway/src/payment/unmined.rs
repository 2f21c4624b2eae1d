//! Our transactions that no block has yet, and for how long they wait. Reads no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use protocol::Digest;

/// Transactions that are looked at together: those that have waited for longest, because all others have their turn behind them.
const LATE_MAX: usize = 64;

/// Where a transaction is, as far as its chain was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Nowhere,
    /// Known, and in no block.
    Waiting,
    InBlock,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: Instant,
    /// When it was looked at, or sent again, for the last time.
    last: Instant,
    place: Place,
}

#[derive(Default)]
pub struct Unmined {
    seen: BTreeMap<Digest, Seen>,
}

impl Unmined {
    /// Notes what is under way now, and returns what was not looked at for `patience` since it was seen first. What is in a block, from which
    /// a reorganisation may take it, comes after all that is in none.
    pub fn late(&mut self, under_way: &BTreeSet<Digest>, now: Instant, patience: Duration) -> Vec<Digest> {
        self.seen.retain(|transaction, _| under_way.contains(transaction));
        for transaction in under_way {
            self.seen.entry(*transaction).or_insert(Seen { first: now, last: now, place: Place::Nowhere });
        }
        let late = self.seen.iter().filter(|(_, seen)| now.saturating_duration_since(seen.last) >= patience);
        let order = |(transaction, seen): (&Digest, &Seen)| (seen.place == Place::InBlock, seen.first, *transaction);
        let mut late: Vec<(bool, Instant, Digest)> = late.map(order).collect();
        late.sort_unstable();
        late.into_iter().take(LATE_MAX).map(|(_, _, transaction)| transaction).collect()
    }

    /// Notes where one is now.
    pub fn note(&mut self, transaction: &Digest, place: Place, now: Instant) {
        if let Some(seen) = self.seen.get_mut(transaction) {
            (seen.last, seen.place) = (now, place);
        }
    }

    /// How many were under way when they were noted last.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// For how long the one waits for a block that has waited for longest.
    pub fn longest(&self, now: Instant) -> Duration {
        let waiting = self.seen.values().filter(|seen| seen.place == Place::Waiting);
        waiting.map(|seen| now.saturating_duration_since(seen.first)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_block_takes_is_looked_at_after_a_while_and_then_again_and_no_more_once_it_has_ended() {
        let (mut unmined, began, patience) = (Unmined::default(), Instant::now(), Duration::from_secs(20));
        let after = |seconds| began.checked_add(Duration::from_secs(seconds)).unwrap();
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        let both = BTreeSet::from([one, two]);
        assert!(unmined.late(&BTreeSet::from([two]), began, patience).is_empty());
        assert!(unmined.late(&both, after(19), patience).is_empty());
        assert_eq!(unmined.late(&both, after(20), patience), [two]);
        assert_eq!(unmined.longest(after(20)), Duration::ZERO, "nobody has said that it waits");
        unmined.note(&two, Place::Waiting, after(20));
        assert_eq!(unmined.longest(after(25)), Duration::from_secs(25));
        assert_eq!(unmined.late(&both, after(39), patience), [one]);
        assert_eq!(unmined.late(&both, after(40), patience), [two, one], "first who has waited for longest");
        unmined.note(&two, Place::InBlock, after(40));
        assert_eq!(unmined.longest(after(40)), Duration::ZERO);
        assert_eq!(unmined.late(&both, after(60), patience), [one, two], "and last what is in a block");
        assert!(unmined.late(&BTreeSet::new(), after(99), patience).is_empty() && unmined.seen.is_empty());
    }
}
