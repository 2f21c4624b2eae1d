//! Allocations of the genesis: coins that come free with time, a first share at once, nothing more until the cliff, then evenly.
//!
//! What is not free yet is locked like a stake. It is given out as epochs close, never ahead of the schedule.

use protocol::{Amount, EvmAddress, Milliseconds, Text, record};

use crate::{
    purse::{STAKING, is_nobodys},
    rules::{MILLION, part},
};

record! {
    /// Coins of the genesis for `beneficiary`.
    GenesisAllocation {
        name: Text<64>,
        beneficiary: EvmAddress,
        amount: Amount,
        /// Share that is free from the beginning, in millionths.
        first_share: u32,
        /// From the beginning to when the rest begins to come free.
        cliff_ms: u64,
        /// From then on until all of it is free; zero frees it at the cliff.
        length_ms: u64,
    }
}

record! {
    /// An allocation, and how much of it was given out.
    AllocationRecord {
        beneficiary: EvmAddress,
        name: Text<64>,
        amount: Amount,
        first: Amount,
        released: Amount,
        start_ms: Milliseconds,
        cliff_ms: u64,
        length_ms: u64,
    }
}

impl GenesisAllocation {
    /// As the ledger keeps it from the beginning, when the first share is given out.
    pub(crate) fn record(&self, start_ms: Milliseconds) -> AllocationRecord {
        let first = part(self.amount, self.first_share);
        AllocationRecord {
            beneficiary: self.beneficiary,
            name: self.name.clone(),
            amount: self.amount,
            first,
            released: first,
            start_ms,
            cliff_ms: self.cliff_ms,
            length_ms: self.length_ms,
        }
    }

    pub(crate) fn is_meant(&self) -> bool {
        let is_for_somebody = self.beneficiary == STAKING || !is_nobodys(&self.beneficiary);
        self.amount > 0 && self.first_share <= MILLION && is_for_somebody
    }
}

impl AllocationRecord {
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
    pub fn locked(&self) -> Amount {
        self.amount.saturating_sub(self.released)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(amount: Amount, first_share: u32, cliff_ms: u64, length_ms: u64) -> AllocationRecord {
        let beneficiary = EvmAddress([7; 20]);
        let genesis =
            GenesisAllocation { name: Text::default(), beneficiary, amount, first_share, cliff_ms, length_ms };
        genesis.record(1_000)
    }

    #[test]
    fn a_first_share_is_free_then_nothing_until_the_cliff_then_evenly() {
        let row = allocation(1_000, 100_000, 500, 900);
        let expected = [(0, 100), (1_000, 100), (1_499, 100), (1_500, 100), (1_501, 101), (1_950, 550), (2_400, 1_000)];
        expected.iter().for_each(|(time, free)| assert_eq!(row.free_at(*time), *free, "at {time}"));
        assert_eq!(row.free_at(u64::MAX), 1_000);
    }

    #[test]
    fn an_allocation_without_length_is_free_at_the_cliff() {
        let row = allocation(1_000, 0, 500, 0);
        assert_eq!((row.free_at(1_499), row.free_at(1_500)), (0, 1_000));
    }

    #[test]
    fn the_largest_amounts_over_the_longest_times_are_exact() {
        let most = Amount::MAX / 1_000_000;
        let row = AllocationRecord { start_ms: 0, ..allocation(most, 333_300, 0, u64::MAX) };
        assert_eq!((row.free_at(0), row.free_at(u64::MAX)), (row.first, most));
        let month = 30 * 24 * 3_600 * 1_000;
        let row = allocation(150_000_000 * crate::OPG, 333_300, 0, 48 * month);
        assert_eq!(row.free_at(1_000 + 24 * month), row.first + (row.amount - row.first) / 2);
        assert_eq!(row.free_at(1_000 + 48 * month), row.amount);
    }

    #[test]
    fn free_never_shrinks_and_never_exceeds_the_whole() {
        let row = allocation(999_999_999_999_999_999_999, 1, 3, 1_000_003);
        let mut before = 0;
        for time in (0..2_000_000).step_by(997) {
            let free = row.free_at(time);
            assert!(before <= free && free <= row.amount);
            before = free;
        }
    }
}
