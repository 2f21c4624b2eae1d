//! The rate between dollars and OPG, and the rules that an old one is none and that none leaps away from the last.
//!
//! A rate has a time of its own, since when it is so, and is told again and again for as long as it is. Both are bounded: who is silent has
//! none any more, and neither has who says what was set long ago. A rate that leaps is none for a day, however often it is told: neither
//! silence nor insisting makes it true sooner. Nor is the last one a rate any more: whoever tells the leap says that it is not so.

use std::collections::{BTreeMap, VecDeque};

use protocol::{Milliseconds, price::Rate};
use thiserror::Error;

/// Why there is no rate, or none was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FeedError {
    #[error("no rate has been told yet")]
    Unknown,
    #[error("no rate has been told for {age_ms} ms, at most {limit_ms} expected")]
    Stale { age_ms: Milliseconds, limit_ms: Milliseconds },
    #[error("the rate was set {age_ms} ms ago, at most {limit_ms} expected")]
    Old { age_ms: Milliseconds, limit_ms: Milliseconds },
    #[error("a rate of zero")]
    Zero,
    #[error("a rate from the future, or older than the last one")]
    Order,
    #[error(
        "a rate that is more than {0} times that of a day before, or less than that part of it; hint: where it is right, start the gateway again"
    )]
    Jump(u128),
}

/// How far a rate may lie apart from any that was told within so long before, however many others come between them.
const JUMP_MAX: u128 = 4;
const JUMP_SPAN_MS: Milliseconds = 86_400_000;
/// A rate's time may be ahead of our clock by so much.
const SKEW_MS: Milliseconds = 5_000;

/// For how long what is told is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// Since it was told last.
    pub told_ms: Milliseconds,
    /// Since it was set.
    pub set_ms: Milliseconds,
    /// Since another has come in its place.
    pub honoured_ms: Milliseconds,
}

/// A rate, when it was told first and when last.
#[derive(Clone, Copy, Debug)]
struct Told {
    rate: Rate,
    first_ms: Milliseconds,
    last_ms: Milliseconds,
}

/// The newest rates. A quote that was given under one is honoured for a while after the next came.
#[derive(Clone, Debug)]
pub struct Feed {
    lives: Lives,
    /// Oldest first; each says another rate than the one before.
    rates: VecDeque<Told>,
    /// What was believed of late, and when it was told for the last time.
    lately: BTreeMap<u128, Milliseconds>,
    /// Since when what is told leaps.
    leapt_ms: Option<Milliseconds>,
}

impl Feed {
    pub fn new(lives: Lives) -> Self {
        Self { lives, rates: VecDeque::new(), lately: BTreeMap::new(), leapt_ms: None }
    }

    pub fn tell(&mut self, rate: Rate, now_ms: Milliseconds) -> Result<(), FeedError> {
        if rate.usd_per_opg == 0 {
            return Err(FeedError::Zero);
        }
        let is_older = self.rates.back().is_some_and(|last| rate.at_ms < last.rate.at_ms);
        if is_older || rate.at_ms > now_ms.saturating_add(SKEW_MS) {
            return Err(FeedError::Order);
        }
        self.lately.retain(|_, last_ms| now_ms.saturating_sub(*last_ms) < JUMP_SPAN_MS);
        let bound = |known: Option<(&u128, &Milliseconds)>| known.map_or(rate.usd_per_opg, |(known, _)| *known);
        let low = bound(self.lately.first_key_value()).min(rate.usd_per_opg);
        let high = bound(self.lately.last_key_value()).max(rate.usd_per_opg);
        if high / JUMP_MAX > low {
            self.leapt_ms.get_or_insert(now_ms);
            return Err(FeedError::Jump(JUMP_MAX));
        }
        self.leapt_ms = None;
        self.lately.insert(rate.usd_per_opg, now_ms);
        match self.rates.back_mut().filter(|last| last.rate.usd_per_opg == rate.usd_per_opg) {
            Some(last) => (last.rate, last.last_ms) = (rate, last.last_ms.max(now_ms)),
            None => self.rates.push_back(Told { rate, first_ms: now_ms, last_ms: now_ms }),
        }
        while self.rates.get(1).is_some_and(|next| self.is_past(next, now_ms)) {
            self.rates.pop_front();
        }
        Ok(())
    }

    /// True where whatever came before `next` is honoured no more.
    fn is_past(&self, next: &Told, now_ms: Milliseconds) -> bool {
        now_ms.saturating_sub(next.first_ms) > self.lives.honoured_ms
    }

    /// Whether quotes that were given before a leap are honoured still.
    fn has_just_leapt(&self, now_ms: Milliseconds) -> bool {
        self.leapt_ms.is_some_and(|leapt_ms| now_ms.saturating_sub(leapt_ms) <= self.lives.honoured_ms)
    }

    /// The rate to quote by now.
    pub fn newest(&self, now_ms: Milliseconds) -> Result<Rate, FeedError> {
        let Told { rate, last_ms, .. } = self.rates.back().ok_or(FeedError::Unknown)?;
        let (told_ago_ms, set_ago_ms) = (now_ms.saturating_sub(*last_ms), now_ms.saturating_sub(rate.at_ms));
        if told_ago_ms > self.lives.told_ms {
            return Err(FeedError::Stale { age_ms: told_ago_ms, limit_ms: self.lives.told_ms });
        }
        if set_ago_ms > self.lives.set_ms {
            return Err(FeedError::Old { age_ms: set_ago_ms, limit_ms: self.lives.set_ms });
        }
        match self.leapt_ms {
            Some(_) => Err(FeedError::Jump(JUMP_MAX)),
            None => Ok(*rate),
        }
    }

    /// Every rate that a payer may have been quoted by and that still binds us, newest first.
    pub fn honoured(&self, now_ms: Milliseconds) -> Vec<Rate> {
        let newest = match (self.newest(now_ms), self.rates.back()) {
            (Ok(newest), _) => newest,
            (Err(FeedError::Jump(_)), Some(last)) if self.has_just_leapt(now_ms) => last.rate,
            (Err(_), _) => return Vec::new(),
        };
        let mut rates = vec![newest];
        for (told, next) in self.rates.iter().zip(self.rates.iter().skip(1)).rev() {
            let is_known = rates.iter().any(|known| known.usd_per_opg == told.rate.usd_per_opg);
            if !is_known && !self.is_past(next, now_ms) {
                rates.push(told.rate);
            }
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: Milliseconds = JUMP_SPAN_MS;

    fn feed() -> Feed {
        Feed::new(Lives { told_ms: 1_000, set_ms: 30 * DAY_MS, honoured_ms: 100 })
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
    fn a_rate_that_is_told_for_long_is_as_old_as_it_was_set() {
        let (mut feed, limit_ms) = (feed(), 30 * DAY_MS);
        feed.tell(rate(10, 7), 9).unwrap();
        for now_ms in [DAY_MS, limit_ms, limit_ms + 7] {
            feed.tell(rate(10, 7), now_ms).unwrap();
            assert_eq!(feed.newest(now_ms), Ok(rate(10, 7)), "whoever governs it need not change it");
        }
        feed.tell(rate(10, 7), limit_ms + 8).unwrap();
        assert_eq!(feed.newest(limit_ms + 8), Err(FeedError::Old { age_ms: limit_ms + 1, limit_ms }));
        // Confirmed as it is, it is a new one.
        feed.tell(rate(10, limit_ms), limit_ms + 9).unwrap();
        assert_eq!(feed.honoured(limit_ms + 9), [rate(10, limit_ms)]);
    }

    #[test]
    fn a_rate_that_was_replaced_is_honoured_for_a_while() {
        let mut feed = feed();
        feed.tell(rate(10, 0), 0).unwrap();
        feed.tell(rate(12, 50), 50).unwrap();
        assert_eq!(feed.honoured(150), [rate(12, 50), rate(10, 0)]);
        assert_eq!(feed.honoured(151), [rate(12, 50)]);
        // Since when it is so says nothing of when its payers could know it.
        feed.tell(rate(13, 60), 500).unwrap();
        assert_eq!(feed.honoured(600), [rate(13, 60), rate(12, 50)]);
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
        assert_eq!((feed.rates.len(), feed.newest(2_000)), (1, Ok(rate(12, 1_000))));
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
    }

    #[test]
    fn a_rate_that_leaps_is_believed_a_day_later_and_no_sooner_for_silence_or_for_being_told_again() {
        for (pause_ms, leap) in [(900, 50), (900, 1), (DAY_MS / 3, 50)] {
            let mut feed = feed();
            feed.tell(rate(10, 0), 0).unwrap();
            feed.tell(rate(10, 0), 700).unwrap();
            let mut now_ms = 700 + pause_ms;
            while now_ms < 700 + DAY_MS {
                assert_eq!(feed.tell(rate(leap, now_ms), now_ms), Err(FeedError::Jump(4)), "{now_ms}");
                now_ms += pause_ms;
            }
            assert!(matches!(feed.newest(now_ms), Err(FeedError::Stale { .. })), "there is none meanwhile");
            feed.tell(rate(leap, now_ms), now_ms).unwrap();
            assert_eq!(feed.newest(now_ms), Ok(rate(leap, now_ms)));
        }
        // What is near to the last one ends the wait.
        let mut feed = feed();
        feed.tell(rate(10, 0), 0).unwrap();
        assert_eq!(feed.tell(rate(50, 5_000), 5_000), Err(FeedError::Jump(4)));
        feed.tell(rate(40, 6_000), 6_000).unwrap();
        assert_eq!(feed.newest(6_000), Ok(rate(40, 6_000)));
    }

    #[test]
    fn a_rate_walks_no_further_in_many_steps_than_it_may_leap_in_one() {
        for (first, step) in [(1_000_u128, (4, 1)), (1_000_000, (1, 4))] {
            let mut feed = feed();
            let tell = |feed: &mut Feed, value: u128, now_ms| feed.tell(rate(value, now_ms), now_ms);
            let next = |value: u128| value * step.0 / step.1;
            tell(&mut feed, first, 0).unwrap();
            tell(&mut feed, next(first), 500).unwrap();
            let mut now_ms = 1_000;
            while now_ms < DAY_MS {
                assert_eq!(tell(&mut feed, next(next(first)), now_ms), Err(FeedError::Jump(4)), "{now_ms}");
                tell(&mut feed, next(first), now_ms).unwrap();
                now_ms += 900;
            }
            tell(&mut feed, next(next(first)), now_ms).unwrap();
            assert_eq!(tell(&mut feed, next(next(next(first))), now_ms + 1), Err(FeedError::Jump(4)));
        }
    }

    #[test]
    fn a_rate_is_judged_by_all_of_the_day_before_it_and_not_by_where_a_day_began() {
        for (value, factor) in [(10_u128, (4, 1)), (1_000, (1, 4))] {
            let (mut feed, last_ms) = (feed(), DAY_MS - 1);
            let far = |value: u128| value * factor.0 / factor.1;
            for now_ms in (0..last_ms).step_by(60_000) {
                feed.tell(rate(value, now_ms), now_ms).unwrap();
            }
            feed.tell(rate(value, last_ms), last_ms).unwrap();
            feed.tell(rate(far(value), last_ms + 1), last_ms + 1).unwrap();
            for now_ms in [DAY_MS + 1, 2 * DAY_MS - 2] {
                assert_eq!(feed.tell(rate(far(far(value)), now_ms), now_ms), Err(FeedError::Jump(4)), "{now_ms}");
                feed.tell(rate(far(value), now_ms), now_ms).unwrap();
            }
            feed.tell(rate(far(far(value)), 2 * DAY_MS - 1), 2 * DAY_MS - 1).unwrap();
        }
    }

    #[test]
    fn nothing_is_quoted_by_the_rate_before_a_leap_and_what_was_is_honoured_for_a_while() {
        let mut feed = feed();
        feed.tell(rate(12, 0), 0).unwrap();
        feed.tell(rate(10, 10), 10).unwrap();
        for now_ms in [20, 60] {
            assert_eq!(feed.tell(rate(50, now_ms), now_ms), Err(FeedError::Jump(4)));
            assert_eq!(feed.newest(now_ms), Err(FeedError::Jump(4)));
            assert_eq!(feed.honoured(now_ms), [rate(10, 10), rate(12, 0)]);
        }
        assert_eq!((feed.honoured(120), feed.honoured(121)), (vec![rate(10, 10)], vec![]));
        feed.tell(rate(10, 130), 130).unwrap();
        assert_eq!(feed.newest(130), Ok(rate(10, 130)));
    }
}
