//! How long evidence is kept: a function of the network's rules, of a clock and of the ledger's own time. Pure.

/// What the network's rules ask of a worker (`specs/evidence.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long after its end a receipt can still be anchored, in the ledger's time.
    pub anchoring_ms: u64,
    /// Epochs after that in which the receipt may have to be opened.
    pub epochs: u64,
    /// How long it is kept in any case, by the node's own clock.
    pub least_ms: u64,
}

impl Lifetime {
    /// What ended before this moment is no longer needed. `ledger_ms` is the time at which the epoch ended that lies
    /// `epochs` behind the newest one.
    ///
    /// Both must have passed: a clock that jumps ahead deletes nothing, because the ledger has not moved, and a ledger
    /// that stood still for an hour has not used up a challenge window by that. A validator that invents an epoch
    /// of the far future deletes nothing, because the clock has not moved.
    pub fn over_before(&self, now_ms: u64, ledger_ms: u64) -> u64 {
        self.due_before(now_ms).min(ledger_ms.saturating_sub(self.anchoring_ms))
    }

    /// The same by the clock alone: only what ended before is worth asking the ledger about.
    pub fn due_before(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.least_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Lifetime = Lifetime { anchoring_ms: 600, epochs: 21, least_ms: 700 };

    #[test]
    fn evidence_is_over_when_clock_and_ledger_agree() {
        assert_eq!(LIFETIME.over_before(10_000, 9_900), 9_300, "both moved on");
        assert_eq!(LIFETIME.over_before(10_000, 9_000), 8_400, "the ledger is behind");
    }

    #[test]
    fn neither_a_clock_nor_a_ledger_that_jumps_ahead_ends_it_alone() {
        assert_eq!(LIFETIME.over_before(u64::MAX, 5_000), 4_400);
        assert_eq!(LIFETIME.over_before(5_000, u64::MAX), 4_300);
    }

    #[test]
    fn in_the_first_moments_nothing_is_over() {
        assert_eq!(LIFETIME.over_before(0, 0), 0);
        assert_eq!(LIFETIME.over_before(10_000, 500), 0);
    }
}
