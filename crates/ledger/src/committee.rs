//! Whose word counts, and how much: a vote a seat, of those that sit in agreement's present term.
//!
//! Nodes are not counted: one with many seats has staked for them, and many with one each are cheap. Nor is who sat once: a word
//! stays where it was said, and counts while its node sits.

use protocol::{List, NodeId};

use crate::records::{COMMITTEE_MAX, NetworkRecord};

/// Nodes that said the same.
pub(crate) type Members = List<NodeId, COMMITTEE_MAX>;

impl NetworkRecord {
    /// Seats that decide: all but the third that may lie, 2f + 1 of 3f + 1; never none.
    pub fn quorum(&self) -> usize {
        quorum(self.seats.len())
    }

    /// Whether a node has a seat now.
    pub fn sits(&self, node: &NodeId) -> bool {
        self.committee.contains(node)
    }

    /// Whether the seats of those who said something are a quorum now.
    pub(crate) fn decides(&self, said: impl Fn(&NodeId) -> bool) -> bool {
        self.seats.iter().filter(|seat| said(&seat.node)).count() >= self.quorum()
    }

    /// Those of `members` that sit now, but for one.
    pub(crate) fn others(&self, members: &Members, but: &NodeId) -> Members {
        let others = members.iter().filter(|member| *member != but && self.sits(member)).copied();
        // Fewer than there were fit as well.
        List::new(others.collect()).unwrap_or_default()
    }

    /// The same with that one behind them.
    pub(crate) fn joined(&self, members: &Members, by: &NodeId) -> Members {
        let members = self.others(members, by).into_inner().into_iter().chain([*by]).collect();
        // All of them sit, and a committee fits.
        List::new(members).unwrap_or_default()
    }
}

fn quorum(seats: usize) -> usize {
    let faults = seats.saturating_sub(1).checked_div(3).unwrap_or(0);
    seats.saturating_sub(faults).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_all_but_the_third_that_may_lie() {
        let expected = [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7), (64, 43), (100, 67)];
        expected.iter().for_each(|(seats, votes)| assert_eq!(quorum(*seats), *votes, "{seats}"));
    }
}
