//! How long a judgement may take: as long as its work asks for, by how fast receipts of its model were judged here. Pure.
//!
//! The slowest of a model's last receipts counts, and one that was not done in its time counts as if it had just been: the
//! next one has several times as long, and a receipt's last try all the time that there is. Nothing is learned about a model
//! from another, which may be a stranger's; nor about one kind of receipt from another, which a stranger may have asked for because it
//! is cheap: what texts to embed take says nothing of an answer, nor a program's small input of a large one.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crypto::Digest;
use engine::Work;
use protocol::{Input, Opening, Receipt, Tensor};

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
/// Models and kinds of receipts whose pace is remembered.
const REMEMBERED_MAX: usize = 65_536;

/// What receipts have in common whose judgements tell of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Answer,
    Embedding,
    Tensors,
    /// A call of a program, whose input has so many bits in its length.
    Program(u32),
}

/// What judging a receipt may take, as far as it says before it is read.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    kind: Kind,
    /// Tokens, or rows: at least and at most.
    rows: (u64, u64),
    texts: u64,
    bits: u32,
}

/// The work of a receipt: whoever claims more than its opening has is refused as soon as that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub kind: Kind,
    pub least: u64,
    pub most: u64,
}

impl Needed {
    /// Of a program only a bound is known.
    fn is_bound(&self) -> bool {
        matches!(self.kind, Kind::Program(_))
    }
}

impl Outline {
    pub fn of(receipt: &Receipt, opening: &Opening) -> Self {
        let tokens = u64::from(receipt.prompt_tokens).saturating_add(receipt.output_tokens.into());
        let outline = |kind| Self { kind, rows: (tokens, tokens), texts: 1, bits: 0 };
        match &opening.request.input {
            Input::Tensors(tensors) => {
                let rows = |tensor: &Tensor| tensor.shape.first().copied().unwrap_or(1);
                let least = tensors.iter().map(rows).min().unwrap_or(1);
                let most = tensors.iter().map(rows).max().unwrap_or(1);
                let bytes: usize = tensors.iter().map(|tensor| tensor.data.len()).sum();
                let bits = usize::BITS.saturating_sub(bytes.leading_zeros());
                Self { kind: Kind::Tensors, rows: (least, most), texts: 1, bits }
            }
            Input::Embed(texts) => {
                let texts = u64::try_from(texts.len()).unwrap_or(u64::MAX);
                Self { texts, ..outline(Kind::Embedding) }
            }
            Input::Chat(_) | Input::Prompt(_) => outline(Kind::Answer),
        }
    }

    /// By what the model's receipts take.
    pub(super) fn needed(&self, work: Work) -> Needed {
        let of = |rows: u64| work.of(usize::try_from(rows).unwrap_or(usize::MAX));
        // How long each text is, nobody knows before: all of it in one takes most, none of it looking at another least.
        let calls = work.call.saturating_mul(self.texts.saturating_sub(1));
        let most = of(self.rows.1).saturating_add(calls);
        let apart = work.call.saturating_add(calls).saturating_add(work.row.saturating_mul(self.rows.0));
        let least = if self.texts == 1 { of(self.rows.0) } else { apart };
        let kind = if work.is_bound() { Kind::Program(self.bits) } else { self.kind };
        Needed { kind, least, most }
    }
}

/// What a judgement is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub time: Duration,
    /// It is expected to need longer than it can be given.
    pub is_short: bool,
}

#[derive(Default)]
pub(super) struct Paces {
    of_model: BTreeMap<(Digest, Kind), VecDeque<u64>>,
    of_machine: VecDeque<u64>,
}

impl Paces {
    /// A receipt that needed this took so long, all of it having been done, or was ended after it.
    pub fn note(&mut self, root: Digest, needed: Needed, took: Duration, was_ended: bool) {
        // How long little work takes says little, unless it takes longer than it was given.
        let is_much = needed.least >= WORK_LEAST;
        if !is_much && !was_ended {
            return;
        }
        let work = if was_ended { needed.most } else { needed.least };
        let micros = took.as_micros().max(1);
        let rate = u64::try_from(u128::from(work).saturating_mul(1_000_000) / micros).unwrap_or(u64::MAX);
        push(self.of_model.entry((root, needed.kind)).or_default(), rate, KEPT);
        if is_much && !needed.is_bound() {
            push(&mut self.of_machine, rate, KEPT_ALL);
        }
        while self.of_model.len() > REMEMBERED_MAX {
            self.of_model.pop_first();
        }
    }

    /// A last try has as long as any: nobody's cheap receipts may have made it too short.
    pub fn allowance(&self, root: &Digest, needed: Needed, is_last: bool, bounds: &Bounds) -> Allowance {
        let expected = self.expected(root, needed);
        let most = bounds.judgement_most.max(bounds.judgement_least);
        let time = expected.saturating_mul(SLACK).clamp(bounds.judgement_least, most);
        let is_known = self.of_model.contains_key(&(*root, needed.kind));
        Allowance { time: if is_last { most } else { time }, is_short: is_known && expected > most }
    }

    pub fn haste(&self, root: &Digest, needed: Needed) -> Haste {
        let is_guess = needed.is_bound() && !self.of_model.contains_key(&(*root, needed.kind));
        if is_guess { Haste::Long } else { Self::haste_of(self.expected(root, needed)) }
    }

    /// What a judgement that took so long was.
    pub fn haste_of(took: Duration) -> Haste {
        if took <= BRIEF { Haste::Brief } else { Haste::Long }
    }

    /// Units a second that half of the machine's last receipts reached, if a few were measured.
    pub fn of_machine(&self) -> Option<u64> {
        let mut rates: Vec<u64> = self.of_machine.iter().copied().collect();
        rates.sort_unstable();
        rates.get(rates.len() / 2).copied().filter(|_| rates.len() >= 4)
    }

    fn expected(&self, root: &Digest, needed: Needed) -> Duration {
        let slowest = self.of_model.get(&(*root, needed.kind)).and_then(|rates| rates.iter().min().copied());
        let rate = slowest.unwrap_or(RATE_UNKNOWN).max(1);
        Duration::from_millis(u64::try_from(u128::from(needed.most) * 1_000 / u128::from(rate)).unwrap_or(u64::MAX))
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

    /// Of an answer.
    fn text(work: u64) -> Needed {
        Needed { kind: Kind::Answer, least: work, most: work }
    }

    fn allowed(paces: &Paces, needed: u64) -> (u64, bool) {
        let Allowance { time, is_short } = paces.allowance(&ROOT, text(needed), false, &BOUNDS);
        (time.as_secs(), is_short)
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_allowance_follows_the_work_and_the_slowest_of_the_last_receipts() {
        let mut paces = Paces::default();
        assert_eq!(allowed(&paces, 1 << 30), (30, false));
        assert_eq!(allowed(&paces, 20 << 30), (80, false));
        assert_eq!(allowed(&paces, u64::MAX), (200, false), "nobody knows how fast it is");
        let note = |paces: &mut Paces, rate: u64| paces.note(ROOT, text(rate << 33), seconds(1 << 3), false);
        note(&mut paces, 1);
        assert_eq!(allowed(&paces, 20 << 30), (80, false));
        assert_eq!(allowed(&paces, 60 << 30), (200, false), "expected to need 60 s");
        assert_eq!(allowed(&paces, 201 << 30), (200, true), "expected to need 201 s");
        (0..KEPT).for_each(|_| note(&mut paces, 10));
        assert_eq!(allowed(&paces, 201 << 30), (80, false), "the slow one is long ago");
        let before = paces.allowance(&Digest::ZERO, text(20 << 30), false, &BOUNDS);
        assert_eq!(before.time.as_secs(), 80, "nothing is learned from another model");
        paces.note(ROOT, text(WORK_LEAST - 1), seconds(99), false);
        assert_eq!(allowed(&paces, 201 << 30), (80, false), "too little to be measured");
    }

    #[test]
    fn what_was_ended_has_longer_the_next_time_up_to_the_most() {
        let mut paces = Paces::default();
        // Fast so far, and then something that takes a hundred times as long.
        paces.note(ROOT, text(1 << 40), seconds(1), false);
        let mut times = Vec::new();
        for _ in 0..3 {
            let time = paces.allowance(&ROOT, text(1 << 40), false, &BOUNDS).time;
            times.push(time.as_secs());
            paces.note(ROOT, text(1 << 40), time, false);
        }
        assert_eq!(times, [30, 120, 200]);
    }

    #[test]
    fn little_work_that_was_ended_has_longer_the_next_time_too() {
        let mut paces = Paces::default();
        let (work, mut times) = (text(WORK_LEAST / 2), Vec::new());
        for _ in 0..3 {
            let time = paces.allowance(&ROOT, work, false, &BOUNDS).time;
            times.push(time.as_secs());
            paces.note(ROOT, work, time, true);
        }
        assert_eq!(times, [30, 120, 200]);
        assert_eq!(paces.of_machine(), None, "it says nothing of the machine");
    }

    #[test]
    fn a_program_is_long_until_it_was_seen_to_be_brief() {
        let mut paces = Paces::default();
        let program = Needed { kind: Kind::Program(9), ..text(1 << 38) };
        assert_eq!(paces.haste(&ROOT, program), Haste::Long);
        assert_eq!(paces.haste(&ROOT, text(1 << 30)), Haste::Brief);
        assert_eq!(paces.haste(&ROOT, text(1 << 33)), Haste::Long);
        paces.note(ROOT, program, Duration::from_millis(3), false);
        assert_eq!(paces.haste(&ROOT, program), Haste::Brief);
        paces.note(ROOT, program, seconds(30), false);
        assert_eq!(paces.haste(&ROOT, program), Haste::Long);
        assert_eq!(paces.of_machine(), None, "programs say nothing of the machine");
        (1..5_u64).for_each(|count| paces.note(ROOT, text(12 << 30), seconds(count), false));
        assert_eq!(paces.of_machine(), Some(6 << 30));
    }

    #[test]
    fn cheap_receipts_of_strangers_make_no_dear_one_short() {
        let mut paces = Paces::default();
        let of_bits = |bits| Needed { kind: Kind::Program(bits), ..text(1 << 40) };
        let embedded = Needed { kind: Kind::Embedding, ..text(1 << 40) };
        for _ in 0..KEPT {
            // Small inputs, and texts to embed: as much work as there may be, and done at once.
            paces.note(ROOT, of_bits(5), Duration::from_millis(1), false);
            paces.note(ROOT, embedded, Duration::from_millis(1), false);
        }
        assert_eq!(paces.haste(&ROOT, of_bits(5)), Haste::Brief);
        for dear in [of_bits(20), text(1 << 40)] {
            assert_eq!(paces.allowance(&ROOT, dear, false, &BOUNDS).time, BOUNDS.judgement_most, "{dear:?}");
            assert_eq!(paces.haste(&ROOT, dear), Haste::Long);
        }
        // Of the same kind there is the last try.
        let times = [false, true].map(|is_last| paces.allowance(&ROOT, of_bits(5), is_last, &BOUNDS).time);
        assert_eq!(times, [BOUNDS.judgement_least, BOUNDS.judgement_most]);
    }

    #[test]
    fn texts_to_embed_are_bounded_from_both_sides() {
        let work = Work { call: 100, row: 10, pair: 2 };
        let outline = |kind, texts| Outline { kind, rows: (20, 20), texts, bits: 0 };
        let needed = outline(Kind::Embedding, 5).needed(work);
        // Twenty tokens in one text and four without any; and twenty that look at nobody.
        assert_eq!((needed.most, needed.least), (work.of(20) + 400, 500 + 200));
        let answer = outline(Kind::Answer, 1).needed(work);
        assert_eq!((answer.most, answer.least), (work.of(20), work.of(20)));
        let program = outline(Kind::Tensors, 1).needed(Work { call: 7, row: 0, pair: 0 });
        assert_eq!(program, Needed { kind: Kind::Program(0), least: 7, most: 7 });
    }
}
