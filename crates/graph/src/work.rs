//! What it takes to re-execute an answer, counted from the model alone: before anything runs, the same number for everybody.
//!
//! A unit is a multiplication and an addition of a linear operator. Each operator counts its own steps, from above (`ops`); it is
//! no measurement. Workers refuse and judges find impossible by it (`specs/evidence.md`, *Work*), so a change of it is a
//! change of the rules.

/// What one operation of a program's account costs: programs write memory where graphs multiply.
pub(crate) const PROGRAM_OPERATION: u64 = 64;

/// The work of running a model: so much a text or call, so much a row, so much for a row and one that it looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub call: u64,
    pub row: u64,
    pub pair: u64,
}

impl Work {
    /// A program is bounded by the account of its run.
    pub fn of_program(operations: u64) -> Self {
        Self { call: operations.saturating_mul(PROGRAM_OPERATION), ..Self::default() }
    }

    pub fn of_row(row: u64) -> Self {
        Self { row, ..Self::default() }
    }

    pub fn of_call(call: u64) -> Self {
        Self { call, ..Self::default() }
    }

    /// True where only a bound is known, as of a program: what a run takes is seen while it runs.
    pub fn is_bound(&self) -> bool {
        self.call > 0 && (self.row, self.pair) == (0, 0)
    }

    /// Both, one after the other.
    pub fn and(self, other: Self) -> Self {
        Self {
            call: self.call.saturating_add(other.call),
            row: self.row.saturating_add(other.row),
            pair: self.pair.saturating_add(other.pair),
        }
    }

    /// Operations that a program may have for so much work.
    pub fn operations(limit: u64) -> u64 {
        limit / PROGRAM_OPERATION
    }

    /// Of one text of so many tokens, or of a call with so many rows.
    pub fn of(&self, rows: usize) -> u64 {
        let rows = rows as u64;
        let pairs = u128::from(rows) * (u128::from(rows) + 1) / 2;
        let pairs = u64::try_from(pairs).unwrap_or(u64::MAX).saturating_mul(self.pair);
        self.call.saturating_add(rows.saturating_mul(self.row)).saturating_add(pairs)
    }

    /// The most rows, up to `most`, whose work is no more than `limit`.
    pub fn rows_within(&self, limit: u64, most: usize) -> usize {
        let (mut low, mut high) = (0, most);
        while low < high {
            let middle = high - (high - low) / 2;
            if self.of(middle) <= limit {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_rows_within_a_limit_are_found() {
        let work = Work { call: 5, row: 10, pair: 2 };
        assert_eq!([0, 1, 2, 3].map(|rows| work.of(rows)), [5, 17, 31, 47]);
        for (limit, rows) in [(0, 0), (16, 0), (17, 1), (30, 1), (31, 2), (46, 2), (u64::MAX, 9)] {
            assert_eq!(work.rows_within(limit, 9), rows, "{limit}");
        }
        let vast = Work { call: 0, row: u64::MAX, pair: u64::MAX };
        assert_eq!((vast.of(usize::MAX), vast.rows_within(u64::MAX - 1, 7)), (u64::MAX, 0));
        assert_eq!(vast.and(work), Work { call: 5, ..vast });
    }

    #[test]
    fn a_program_is_what_its_account_allows() {
        let work = Work::of_program(1 << 34);
        assert_eq!((work.of(0), work.of(7)), (1 << 40, 1 << 40));
        assert_eq!(Work::operations(work.call), 1 << 34);
        assert!(work.is_bound() && !Work { row: 1, ..work }.is_bound() && !Work::default().is_bound());
    }
}
