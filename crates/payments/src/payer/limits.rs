//! What a key may spend: at once, and in a day. For agents that hold a key and no judgement.

use thiserror::Error;

/// Base units of one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub per_call: u128,
    pub per_day: u128,
}

/// What was signed on a day, whether it was charged or not: what is signed can be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Days since 1970.
    pub day: u64,
    pub amount: u128,
}

/// A payment that a key's limits do not allow; nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OverLimit {
    #[error("the call may cost {asked}, and at most {limit} is allowed for one call")]
    Call { asked: u128, limit: u128 },
    #[error("the call may cost {asked}, and {left} are left of today's {limit}")]
    Day { asked: u128, left: u128, limit: u128 },
}

impl Limits {
    /// Counts what is about to be signed for a call of at most `call`: `asked` of it newly, deposits with it.
    pub fn allow(&self, spent: Spent, call: u128, asked: u128, now_s: u64) -> Result<Spent, OverLimit> {
        if call > self.per_call {
            return Err(OverLimit::Call { asked: call, limit: self.per_call });
        }
        let day = now_s / 86_400;
        // A clock that goes back opens no second day.
        let amount = if day > spent.day { 0 } else { spent.amount };
        let left = self.per_day.saturating_sub(amount);
        if asked > left {
            return Err(OverLimit::Day { asked, left, limit: self.per_day });
        }
        Ok(Spent { day: day.max(spent.day), amount: amount.saturating_add(asked) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_call: 5, per_day: 12 };

    #[test]
    fn a_call_and_a_day_have_their_limits() {
        let spent = Spent::default();
        assert_eq!(LIMITS.allow(spent, 6, 6, 0), Err(OverLimit::Call { asked: 6, limit: 5 }));
        let spent = LIMITS.allow(spent, 5, 5, 0).unwrap();
        let spent = LIMITS.allow(spent, 5, 5, 86_399).unwrap();
        assert_eq!(LIMITS.allow(spent, 3, 3, 86_399), Err(OverLimit::Day { asked: 3, left: 2, limit: 12 }));
        assert_eq!(LIMITS.allow(spent, 2, 2, 0).unwrap().amount, 12);
    }

    #[test]
    fn a_deposit_is_of_its_day_and_of_no_call() {
        let spent = LIMITS.allow(Spent::default(), 1, 10, 0).unwrap();
        assert_eq!(LIMITS.allow(spent, 1, 3, 0), Err(OverLimit::Day { asked: 3, left: 2, limit: 12 }));
        assert_eq!(LIMITS.allow(spent, 5, 0, 0).unwrap(), spent, "of which calls are paid");
        assert_eq!(LIMITS.allow(spent, 6, 0, 0), Err(OverLimit::Call { asked: 6, limit: 5 }));
        assert!(LIMITS.allow(Spent::default(), 1, u128::MAX, 0).is_err());
    }

    #[test]
    fn a_new_day_begins_anew_and_a_clock_that_goes_back_opens_none() {
        let full = Spent { day: 5, amount: 12 };
        assert_eq!(LIMITS.allow(full, 5, 5, 6 * 86_400).unwrap(), Spent { day: 6, amount: 5 });
        assert!(LIMITS.allow(full, 1, 1, 4 * 86_400).is_err());
    }
}
