//! What loading a graph takes beside its bytes: numbers of constants that are walked through, and bytes of the forms that are kept of them.
//!
//! Rules ask before they walk, for themselves and for the kernels of their operators, which cannot refuse any more. What is made once for all nodes that
//! share constants is asked for once. The account is exact, so that everybody loads the same graphs.

use std::cell::Cell;

use crate::refusal::Refusal;

/// So many numbers may always be walked through: some seconds.
pub const NUMBERS_LEAST: u64 = 1 << 30;
/// So many bytes may always be kept.
pub const BYTES_LEAST: u64 = 1 << 26;
/// How often each byte of the constants may be walked through, and be kept in other forms, beside that.
pub const TIMES: u64 = 4;

#[derive(Debug)]
pub struct Account {
    numbers: Cell<u64>,
    numbers_max: u64,
    bytes: Cell<u64>,
    bytes_max: u64,
}

impl Account {
    /// Of a graph with so many bytes of constants.
    pub fn of(constants: u64) -> Self {
        let times = constants.saturating_mul(TIMES);
        let (numbers_max, bytes_max) = (times.saturating_add(NUMBERS_LEAST), times.saturating_add(BYTES_LEAST));
        Self { numbers: Cell::new(0), numbers_max, bytes: Cell::new(0), bytes_max }
    }

    /// Asks for numbers to walk through.
    pub fn walk(&self, numbers: u64) -> Result<(), Refusal> {
        self.numbers.set(self.numbers.get().saturating_add(numbers));
        let limit = self.numbers_max;
        if self.numbers.get() <= limit { Ok(()) } else { Err(Refusal::Walked { limit }) }
    }

    /// Asks for bytes to keep.
    pub fn keep(&self, bytes: u64) -> Result<(), Refusal> {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        let limit = self.bytes_max;
        if self.bytes.get() <= limit { Ok(()) } else { Err(Refusal::Kept { limit }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_is_exact_and_has_room_beside_that_of_the_constants() {
        let account = Account::of(5);
        let (numbers, bytes) = (NUMBERS_LEAST + 20, BYTES_LEAST + 20);
        assert_eq!((account.walk(numbers), account.keep(bytes)), (Ok(()), Ok(())));
        assert_eq!(account.walk(0), Ok(()));
        assert_eq!(account.walk(1), Err(Refusal::Walked { limit: numbers }));
        assert_eq!(account.keep(1), Err(Refusal::Kept { limit: bytes }));
        assert_eq!(Account::of(u64::MAX).walk(u64::MAX), Ok(()));
    }
}
