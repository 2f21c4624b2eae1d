//! How long a judgement may take: as long as its work asks for, by how fast receipts of its model were judged here. Pure.
//!
//! The slowest of a model's last receipts counts, and one that was not done in its time counts as if it had just been: the
//! next one has several times as long. Nothing is learned about a model from another, which may be a stranger's.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crypto::Digest;
use engine::Work;

use super::{Bounds, queue::Haste};

/// Receipts of a model that its pace is known by.
const KEPT: usize = 16;
/// Of the machine.
const KEPT_ALL: usize = 64;
/// Less work than this is over before it can be measured.
const WORK_LEAST: u64 = 1 << 30;
/// Units a second of a model that was never measured here: what a machine without vector instructions may be expected to do.
const RATE_UNKNOWN: u64 = 1 << 30;
/// So many times as long as expected it may take: other work beside it, a slower input.
const SLACK: u32 = 4;
/// What takes no longer than this may have the last place.
const BRIEF: Duration = Duration::from_secs(5);
/// Models whose pace is remembered.
const REMEMBERED_MAX: usize = 65_536;

/// What a judgement is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub time: Duration,
    /// It is expected to need longer than it can be given.
    pub is_short: bool,
}

#[derive(Default)]
pub(super) struct Paces {
    of_model: BTreeMap<Digest, VecDeque<u64>>,
    of_machine: VecDeque<u64>,
}

impl Paces {
    /// A receipt of so much work took so long, or was ended after it.
    pub fn note(&mut self, root: Digest, work: Work, needed: u64, took: Duration, was_ended: bool) {
        // How long little work takes says little, unless it takes longer than it was given.
        if needed < WORK_LEAST && !was_ended {
            return;
        }
        let micros = took.as_micros().max(1);
        let rate = u64::try_from(u128::from(needed).saturating_mul(1_000_000) / micros).unwrap_or(u64::MAX);
        push(self.of_model.entry(root).or_default(), rate, KEPT);
        // Of a program only a bound is known.
        if work.call == 0 && needed >= WORK_LEAST {
            push(&mut self.of_machine, rate, KEPT_ALL);
        }
        while self.of_model.len() > REMEMBERED_MAX {
            self.of_model.pop_first();
        }
    }

    pub fn allowance(&self, root: &Digest, needed: u64, bounds: &Bounds) -> Allowance {
        let expected = self.expected(root, needed);
        let most = bounds.judgement_most.max(bounds.judgement_least);
        let time = expected.saturating_mul(SLACK).clamp(bounds.judgement_least, most);
        Allowance { time, is_short: self.of_model.contains_key(root) && expected > most }
    }

    pub fn haste(&self, root: &Digest, work: Work, needed: u64) -> Haste {
        let is_guess = work.call > 0 && !self.of_model.contains_key(root);
        if !is_guess && self.expected(root, needed) <= BRIEF { Haste::Brief } else { Haste::Long }
    }

    /// Units a second that half of the machine's last receipts reached, if a few were measured.
    pub fn of_machine(&self) -> Option<u64> {
        let mut rates: Vec<u64> = self.of_machine.iter().copied().collect();
        rates.sort_unstable();
        rates.get(rates.len() / 2).copied().filter(|_| rates.len() >= 4)
    }

    fn expected(&self, root: &Digest, needed: u64) -> Duration {
        let slowest = self.of_model.get(root).and_then(|rates| rates.iter().min().copied());
        let rate = slowest.unwrap_or(RATE_UNKNOWN).max(1);
        Duration::from_millis(u64::try_from(u128::from(needed) * 1_000 / u128::from(rate)).unwrap_or(u64::MAX))
    }
}

fn push(rates: &mut VecDeque<u64>, rate: u64, kept: usize) {
    rates.push_back(rate);
    while rates.len() > kept {
        rates.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        memory_bytes: 0,
        threads: 1,
        load: Duration::ZERO,
        judgement_least: Duration::from_secs(30),
        judgement_most: Duration::from_secs(200),
        places: 2,
        kills: 3,
        pause: Duration::ZERO,
        work_max: 1 << 40,
        work_rate: 1 << 36,
    };
    const ROOT: Digest = Digest([1; 32]);
    const TEXT: Work = Work { call: 0, row: 1, pair: 0 };

    fn allowed(paces: &Paces, needed: u64) -> (u64, bool) {
        let Allowance { time, is_short } = paces.allowance(&ROOT, needed, &BOUNDS);
        (time.as_secs(), is_short)
    }

    #[test]
    fn the_allowance_follows_the_work_and_the_slowest_of_the_last_receipts() {
        let mut paces = Paces::default();
        assert_eq!(allowed(&paces, 1 << 30), (30, false));
        assert_eq!(allowed(&paces, 20 << 30), (80, false));
        assert_eq!(allowed(&paces, u64::MAX), (200, false), "nobody knows how fast it is");
        let note =
            |paces: &mut Paces, rate: u64| paces.note(ROOT, TEXT, rate << 33, Duration::from_secs(1 << 3), false);
        note(&mut paces, 1);
        assert_eq!(allowed(&paces, 20 << 30), (80, false));
        assert_eq!(allowed(&paces, 60 << 30), (200, false), "expected to need 60 s");
        assert_eq!(allowed(&paces, 201 << 30), (200, true), "expected to need 201 s");
        (0..KEPT).for_each(|_| note(&mut paces, 10));
        assert_eq!(allowed(&paces, 201 << 30), (80, false), "the slow one is long ago");
        let before = paces.allowance(&Digest::ZERO, 20 << 30, &BOUNDS);
        assert_eq!(before.time.as_secs(), 80, "nothing is learned from another model");
        paces.note(ROOT, TEXT, WORK_LEAST - 1, Duration::from_secs(99), false);
        assert_eq!(allowed(&paces, 201 << 30), (80, false), "too little to be measured");
    }

    #[test]
    fn what_was_ended_has_longer_the_next_time_up_to_the_most() {
        let mut paces = Paces::default();
        // Fast so far, and then something that takes a hundred times as long.
        paces.note(ROOT, TEXT, 1 << 40, Duration::from_secs(1), false);
        let mut times = Vec::new();
        for _ in 0..3 {
            let time = paces.allowance(&ROOT, 1 << 40, &BOUNDS).time;
            times.push(time.as_secs());
            paces.note(ROOT, TEXT, 1 << 40, time, false);
        }
        assert_eq!(times, [30, 120, 200]);
    }

    #[test]
    fn little_work_that_was_ended_has_longer_the_next_time_too() {
        let mut paces = Paces::default();
        let (work, mut times) = (WORK_LEAST / 2, Vec::new());
        for _ in 0..3 {
            let time = paces.allowance(&ROOT, work, &BOUNDS).time;
            times.push(time.as_secs());
            paces.note(ROOT, TEXT, work, time, true);
        }
        assert_eq!(times, [30, 120, 200]);
        assert_eq!(paces.of_machine(), None, "it says nothing of the machine");
    }

    #[test]
    fn a_program_is_long_until_it_was_seen_to_be_brief() {
        let mut paces = Paces::default();
        let program = Work { call: 1 << 38, row: 0, pair: 0 };
        assert_eq!(paces.haste(&ROOT, program, program.call), Haste::Long);
        assert_eq!(paces.haste(&ROOT, TEXT, 1 << 30), Haste::Brief);
        assert_eq!(paces.haste(&ROOT, TEXT, 1 << 33), Haste::Long);
        paces.note(ROOT, program, program.call, Duration::from_millis(3), false);
        assert_eq!(paces.haste(&ROOT, program, program.call), Haste::Brief);
        paces.note(ROOT, program, program.call, Duration::from_secs(30), false);
        assert_eq!(paces.haste(&ROOT, program, program.call), Haste::Long);
        assert_eq!(paces.of_machine(), None, "programs say nothing of the machine");
        (1..5_u64).for_each(|seconds| paces.note(ROOT, TEXT, 12 << 30, Duration::from_secs(seconds), false));
        assert_eq!(paces.of_machine(), Some(6 << 30));
    }
}
