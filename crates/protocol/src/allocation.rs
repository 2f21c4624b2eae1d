//! Allocations of the genesis: coins that come free with time, a first share at once, nothing more until the cliff, then evenly.
//!
//! Knows when something is free, and when enough of it is to be given out. Who gives it out is the ledger, as epochs close.

use crate::{Amount, Milliseconds, Text, nouns::record, settlement::EvmAddress, share::part_of};

/// What is given out at once is at least this share of an allocation, in millionths, or its rest: not every second a grain.
const STEP: u32 = 100;

record! {
    /// An allocation, and how much of it was given out.
    AllocationRecord {
        beneficiary: EvmAddress,
        name: Text<64>,
        amount: Amount,
        /// What of it is free from the beginning.
        first: Amount,
        released: Amount,
        start_ms: Milliseconds,
        /// From the beginning to when the rest begins to come free.
        cliff_ms: u64,
        /// From then on until all of it is free; zero frees it at the cliff.
        length_ms: u64,
    }
}

impl AllocationRecord {
    /// When the rest begins to come free.
    pub const fn cliff(&self) -> Milliseconds {
        self.start_ms.saturating_add(self.cliff_ms)
    }

    /// When all of it is free.
    pub const fn end(&self) -> Milliseconds {
        self.cliff().saturating_add(self.length_ms)
    }

    /// How much of it is free at a time, given out or not.
    pub fn free_at(&self, time_ms: Milliseconds) -> Amount {
        let passed = time_ms.saturating_sub(self.start_ms).checked_sub(self.cliff_ms);
        let Some(passed) = passed.map(|passed| passed.min(self.length_ms)) else { return self.first };
        let rest = self.amount.saturating_sub(self.first);
        let (length, passed) = (Amount::from(self.length_ms), Amount::from(passed));
        let (Some(whole), Some(left)) = (rest.checked_div(length), rest.checked_rem(length)) else {
            return self.amount;
        };
        // Exact without 256 bits: the remainder is below 2^64, and so is the time.
        let of_left = left.saturating_mul(passed).checked_div(length).unwrap_or(0);
        self.first.saturating_add(whole.saturating_mul(passed)).saturating_add(of_left)
    }

    /// What is still locked.
    pub const fn locked(&self) -> Amount {
        self.amount.saturating_sub(self.released)
    }

    /// What is to be given out at a time; zero where too little has come free since the last release.
    pub fn due_at(&self, time_ms: Milliseconds) -> Amount {
        let free = self.free_at(time_ms).min(self.amount);
        if free < self.next_level() { 0 } else { free.saturating_sub(self.released) }
    }

    /// When the next release is due, and how much it then is; `None` once all was given out.
    pub fn next_release(&self) -> Option<(Milliseconds, Amount)> {
        let level = self.next_level();
        if self.locked() == 0 {
            return None;
        }
        let (mut low, mut high) = if level <= self.first { (0, 0) } else { (self.cliff(), self.end()) };
        // What is free never shrinks, so the first moment at which enough is lies between the two.
        while low < high {
            let middle = low.midpoint(high);
            if self.free_at(middle) < level {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let at = low.max(self.start_ms);
        Some((at, self.due_at(at)))
    }

    /// How much has to be free for the next release.
    fn next_level(&self) -> Amount {
        self.released.saturating_add(part_of(self.amount, STEP).max(1)).min(self.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(amount: Amount, first: Amount, cliff_ms: u64, length_ms: u64) -> AllocationRecord {
        AllocationRecord {
            beneficiary: EvmAddress([7; 20]),
            name: Text::default(),
            amount,
            first,
            released: first,
            start_ms: 1_000,
            cliff_ms,
            length_ms,
        }
    }

    #[test]
    fn a_first_share_is_free_then_nothing_until_the_cliff_then_evenly() {
        let row = allocation(1_000, 100, 500, 900);
        let expected = [(0, 100), (1_000, 100), (1_499, 100), (1_500, 100), (1_501, 101), (1_950, 550), (2_400, 1_000)];
        expected.iter().for_each(|(time, free)| assert_eq!(row.free_at(*time), *free, "at {time}"));
        assert_eq!((row.free_at(u64::MAX), row.cliff(), row.end()), (1_000, 1_500, 2_400));
    }

    #[test]
    fn an_allocation_without_length_is_free_at_the_cliff() {
        let row = allocation(1_000, 0, 500, 0);
        assert_eq!((row.free_at(1_499), row.free_at(1_500)), (0, 1_000));
        assert_eq!(row.next_release(), Some((1_500, 1_000)));
    }

    #[test]
    fn the_largest_amounts_over_the_longest_times_are_exact() {
        let most = Amount::MAX / 1_000_000;
        let row = AllocationRecord { start_ms: 0, ..allocation(most, most / 3, 0, u64::MAX) };
        assert_eq!((row.free_at(0), row.free_at(u64::MAX)), (row.first, most));
        let last = AllocationRecord { released: most - 1, ..row };
        assert_eq!(last.next_release(), Some((u64::MAX, 1)), "the last coin comes last");
        let month = 30 * 24 * 3_600 * 1_000;
        let coin = 1_000_000_000_000_000_000;
        let row = allocation(150_000_000 * coin, 49_995_000 * coin, 0, 48 * month);
        assert_eq!(row.free_at(1_000 + 24 * month), row.first + (row.amount - row.first) / 2);
        assert_eq!(row.free_at(1_000 + 48 * month), row.amount);
    }

    #[test]
    fn free_never_shrinks_and_never_exceeds_the_whole() {
        let row = allocation(999_999_999_999_999_999_999, 999_999_999_999_999, 3, 1_000_003);
        let mut before = 0;
        for time in (0..2_000_000).step_by(997) {
            let free = row.free_at(time);
            assert!(before <= free && free <= row.amount);
            before = free;
        }
    }

    #[test]
    fn a_release_is_due_at_the_first_moment_at_which_a_step_of_it_or_its_rest_is_free() {
        // A step is 100 of a million; one comes free each millisecond.
        let row = allocation(1_000_000, 0, 500, 1_000_000);
        assert_eq!(row.next_release(), Some((1_600, 100)));
        assert_eq!([1_499, 1_500, 1_599, 1_600, 1_750].map(|time| row.due_at(time)), [0, 0, 0, 100, 250]);
        let later = AllocationRecord { released: 250, ..row.clone() };
        assert_eq!(later.next_release(), Some((1_850, 100)));
        let last = AllocationRecord { released: 999_990, ..row.clone() };
        assert_eq!(last.next_release(), Some((1_001_500, 10)));
        let over = AllocationRecord { released: 1_000_000, ..row };
        assert_eq!((over.next_release(), over.due_at(u64::MAX)), (None, 0));
    }
}
