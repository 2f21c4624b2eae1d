//! Fast `choose_experts_f32`: one walk over the scores that keeps the greatest so far.

use std::ops::Add;

use graph::{Data, Fault, ops::choose_experts_f32::Choice};

use super::map::PIECE;
use crate::{
    constants::Numbers,
    kernel::{Call, Kernel, Making, State, excluded, floats},
};

const NAME: &str = "choose_experts_f32";

struct Choose {
    choice: Choice,
    experts: usize,
    bias: Option<Numbers<f32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let experts = making.width(0)?;
    let bias = if making.inputs.len() > 1 { Some(making.numbers(1)?) } else { None };
    Some(Box::new(Choose { choice: Choice::read(making.attributes, experts).ok()?, experts, bias }))
}

impl Kernel for Choose {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let scores = floats(call, 0, NAME)?;
        let Data::I32(out) = out else { return Err(excluded(NAME)) };
        let (experts, count) = (self.experts, self.choice.count);
        call.threads.each(out, count, PIECE.div_ceil(experts), |first, out| {
            let mut room = Room::default();
            let rows = scores[first * experts..].chunks_exact(experts).zip(out.chunks_exact_mut(count));
            rows.for_each(|(scores, out)| self.row(scores, &mut room, out));
        });
        Ok(())
    }
}

impl Choose {
    fn row(&self, scores: &[f32], room: &mut Room<f32>, out: &mut [i32]) {
        room.corrected.clear();
        match &self.bias {
            Some(bias) => room.corrected.extend(scores.iter().zip(bias.iter()).map(|(score, bias)| score + bias)),
            None => room.corrected.extend_from_slice(scores),
        }
        room.choose(&self.choice, out);
    }
}

/// A score that experts have.
pub trait Score: Copy + Default + PartialOrd + Add<Output = Self> {
    /// None is greater.
    const MOST: Self;
}

impl Score for f32 {
    const MOST: Self = Self::INFINITY;
}

impl Score for i64 {
    const MOST: Self = Self::MAX;
}

/// What a row needs, kept for the next.
#[derive(Default)]
pub struct Room<T> {
    pub corrected: Vec<T>,
    groups: Vec<T>,
    kept: Vec<bool>,
    found: Vec<(T, usize)>,
}

impl<T: Score> Room<T> {
    /// The experts of the greatest of what is corrected.
    pub fn choose(&mut self, choice: &Choice, out: &mut [i32]) {
        let Self { corrected, groups, kept, found } = self;
        let Choice { count, groups: of, kept: most, best } = *choice;
        let size = corrected.len() / of;
        kept.clear();
        kept.resize(of, of == 1);
        if of > 1 {
            groups.clear();
            for scores in corrected.chunks_exact(size) {
                greatest(scores.iter().copied().enumerate(), best, found);
                groups.push(found.iter().fold(T::default(), |sum, (_, index)| sum + scores[*index]));
            }
            greatest(groups.iter().copied().enumerate(), most, found);
            found.iter().for_each(|&(_, group)| kept[group] = true);
        }
        let allowed = corrected.iter().copied().enumerate().filter(|(expert, _)| kept[expert / size]);
        greatest(allowed, count, found);
        out.iter_mut().zip(found).for_each(|(out, (_, expert))| *out = *expert as i32);
    }
}

/// The `count` greatest, falling; the first of equal ones stays first.
///
/// A NaN is neither greater than another nor does another replace it, so it is taken where all in front of it have been: as
/// if it were the least of these.
fn greatest<T: Score>(values: impl Iterator<Item = (usize, T)>, count: usize, found: &mut Vec<(T, usize)>) {
    found.clear();
    let mut least = T::MOST;
    for (index, value) in values {
        let is_number = value.partial_cmp(&value).is_some();
        let value = if is_number { value } else { least };
        if value < least {
            least = value;
        }
        if found.len() == count {
            if found.last().is_some_and(|(least, _)| value <= *least) {
                continue;
            }
            found.pop();
        }
        let place = found.partition_point(|(kept, _)| *kept >= value);
        found.insert(place, (value, index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways in which few kinds of scores follow each other.
    #[test]
    fn scores_that_are_no_numbers_or_no_end_choose_as_the_meaning_has_it() {
        let kinds = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0];
        let mut room = Room::default();
        for (groups, kept, best) in [(1, 1, 1), (3, 2, 1), (3, 1, 2), (2, 2, 3)] {
            for number in 0..kinds.len().pow(6) {
                let scores: Vec<f32> = (0..6_u32).map(|place| kinds[number / kinds.len().pow(place) % 6]).collect();
                let choice = Choice { count: 6 / groups * kept, groups, kept, best };
                let expected: Vec<i32> = choice.choose(&scores).into_iter().map(|expert| expert as i32).collect();
                room.corrected.clone_from(&scores);
                let mut found = vec![0; choice.count];
                room.choose(&choice, &mut found);
                assert_eq!(found, expected, "{scores:?} {choice:?}");
            }
        }
    }

    #[test]
    fn as_many_as_there_may_be_are_chosen_in_one_walk() {
        let experts = graph::ops::choose_experts_f32::EXPERTS_MAX;
        let choice = Choice { count: experts, groups: 1, kept: 1, best: 1 };
        // The meaning compares 2^36 times here.
        let mut room = Room { corrected: vec![f32::INFINITY; experts], ..Room::default() };
        let mut found = vec![0; experts];
        room.choose(&choice, &mut found);
        assert!(found.iter().zip(0..).all(|(found, expected)| *found == expected));
    }
}
