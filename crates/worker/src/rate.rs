//! How often somebody may ask within a second. Time is an argument; what is remembered is forgotten after that second.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// Counts what each asks in the present second.
pub(crate) struct Rate<Who> {
    limit: u32,
    since: Option<Instant>,
    counts: BTreeMap<Who, u32>,
}

impl<Who: Ord> Rate<Who> {
    /// At most `limit` questions a second of each.
    pub fn new(limit: u32) -> Self {
        Self { limit, since: None, counts: BTreeMap::new() }
    }

    /// Counts a question of `who`; false if it is one too many.
    pub fn admits(&mut self, who: Who, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            self.since = Some(now);
            self.counts.clear();
        }
        let count = self.counts.entry(who).or_insert(0);
        *count = count.saturating_add(1);
        *count <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asks_so_often_a_second_and_again_in_the_next() {
        let (mut rate, now) = (Rate::new(2), Instant::now());
        assert_eq!([1, 1, 1, 2].map(|who| rate.admits(who, now)), [true, true, false, true]);
        assert!(!rate.admits(1, now + SECOND / 2));
        assert!(rate.admits(1, now + SECOND));
    }
}
