//! The rate between dollars and OPG, and the rule that an old one is none.

use std::collections::VecDeque;

use protocol::{Milliseconds, price::Rate};
use thiserror::Error;

/// Why there is no rate, or none was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FeedError {
    #[error("no rate has been told yet")]
    Unknown,
    #[error("the last rate is {age_ms} ms old, at most {limit_ms} expected")]
    Stale { age_ms: Milliseconds, limit_ms: Milliseconds },
    #[error("a rate of zero")]
    Zero,
    #[error("a rate from the future, or older than the last one")]
    Order,
    #[error("a rate that is more than {0} times the last one, or less than that part of it")]
    Jump(u128),
}

/// How far two rates that follow each other may lie apart.
const JUMP_MAX: u128 = 4;
/// A rate's time may be ahead of our clock by so much.
const SKEW_MS: Milliseconds = 5_000;

/// The newest rates. A quote that was given under one is honoured for a while after the next came.
#[derive(Clone, Debug)]
pub struct Feed {
    stale_after_ms: Milliseconds,
    honoured_for_ms: Milliseconds,
    /// Oldest first.
    rates: VecDeque<Rate>,
}

impl Feed {
    pub fn new(stale_after_ms: Milliseconds, honoured_for_ms: Milliseconds) -> Self {
        Self { stale_after_ms, honoured_for_ms, rates: VecDeque::new() }
    }

    pub fn tell(&mut self, rate: Rate, now_ms: Milliseconds) -> Result<(), FeedError> {
        if rate.usd_per_opg == 0 {
            return Err(FeedError::Zero);
        }
        if rate.at_ms > now_ms.saturating_add(SKEW_MS) {
            return Err(FeedError::Order);
        }
        if let Some(last) = self.rates.back() {
            if rate.at_ms < last.at_ms {
                return Err(FeedError::Order);
            }
            let (low, high) = (rate.usd_per_opg.min(last.usd_per_opg), rate.usd_per_opg.max(last.usd_per_opg));
            // After a silence nobody knows what the rate should be near to.
            if self.newest(now_ms).is_ok() && high / JUMP_MAX > low {
                return Err(FeedError::Jump(JUMP_MAX));
            }
        }
        // Of one that is told again and again, when it came and when it was told last is enough: no further ones to be tried.
        let is_same = |known: &Rate| known.usd_per_opg == rate.usd_per_opg;
        if self.rates.len() >= 2 && self.rates.iter().rev().take(2).all(is_same) {
            self.rates.pop_back();
        }
        self.rates.push_back(rate);
        while self.rates.get(1).is_some_and(|next| self.is_past(next, now_ms)) {
            self.rates.pop_front();
        }
        Ok(())
    }

    /// True where whatever came before `next` is honoured no more.
    fn is_past(&self, next: &Rate, now_ms: Milliseconds) -> bool {
        now_ms.saturating_sub(next.at_ms) > self.honoured_for_ms
    }

    /// The rate to quote by now.
    pub fn newest(&self, now_ms: Milliseconds) -> Result<Rate, FeedError> {
        let rate = self.rates.back().ok_or(FeedError::Unknown)?;
        let age_ms = now_ms.saturating_sub(rate.at_ms);
        if age_ms > self.stale_after_ms {
            return Err(FeedError::Stale { age_ms, limit_ms: self.stale_after_ms });
        }
        Ok(*rate)
    }

    /// Every rate that a payer may have been quoted by and that still binds us, newest first.
    pub fn honoured(&self, now_ms: Milliseconds) -> Vec<Rate> {
        let Ok(newest) = self.newest(now_ms) else { return Vec::new() };
        let mut rates = vec![newest];
        for (rate, next) in self.rates.iter().zip(self.rates.iter().skip(1)).rev() {
            let is_known = rates.last().is_some_and(|known| known.usd_per_opg == rate.usd_per_opg);
            if !is_known && !self.is_past(next, now_ms) {
                rates.push(*rate);
            }
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed {
        Feed::new(1_000, 100)
    }

    fn rate(usd_per_opg: u128, at_ms: Milliseconds) -> Rate {
        Rate { usd_per_opg, at_ms }
    }

    #[test]
    fn an_old_rate_is_none() {
        let mut feed = feed();
        assert_eq!(feed.newest(0), Err(FeedError::Unknown));
        feed.tell(rate(10, 0), 0).unwrap();
        assert_eq!(feed.newest(1_000), Ok(rate(10, 0)));
        assert_eq!(feed.newest(1_001), Err(FeedError::Stale { age_ms: 1_001, limit_ms: 1_000 }));
        assert_eq!(feed.honoured(1_001), []);
    }

    #[test]
    fn a_rate_that_was_replaced_is_honoured_for_a_while() {
        let mut feed = feed();
        feed.tell(rate(10, 0), 0).unwrap();
        feed.tell(rate(12, 50), 50).unwrap();
        assert_eq!(feed.honoured(150), [rate(12, 50), rate(10, 0)]);
        assert_eq!(feed.honoured(151), [rate(12, 50)]);
    }

    #[test]
    fn a_rate_that_is_told_again_and_again_is_one() {
        let mut feed = feed();
        feed.tell(rate(10, 0), 0).unwrap();
        for at_ms in 1..=1_000 {
            feed.tell(rate(12, at_ms), at_ms).unwrap();
            let honoured = if at_ms <= 101 { vec![rate(12, at_ms), rate(10, 0)] } else { vec![rate(12, at_ms)] };
            assert_eq!(feed.honoured(at_ms), honoured);
        }
        assert_eq!((feed.rates.len(), feed.newest(2_000)), (2, Ok(rate(12, 1_000))));
    }

    #[test]
    fn what_cannot_be_a_rate_is_refused() {
        let mut feed = feed();
        assert_eq!(feed.tell(rate(0, 0), 0), Err(FeedError::Zero));
        assert_eq!(feed.tell(rate(1, 5_001), 0), Err(FeedError::Order));
        feed.tell(rate(100, 10), 10).unwrap();
        assert_eq!(feed.tell(rate(100, 9), 10), Err(FeedError::Order));
        assert_eq!(feed.tell(rate(500, 11), 11), Err(FeedError::Jump(4)));
        assert_eq!(feed.tell(rate(20, 11), 11), Err(FeedError::Jump(4)));
        feed.tell(rate(400, 11), 11).unwrap();
        feed.tell(rate(10_000, 5_000), 5_000).unwrap();
    }
}
