//! Fast `choose_experts_f32`: one walk over the scores that keeps the greatest so far.

use std::ops::Add;

use graph::{Data, Fault, ops::choose_experts_f32::Choice};

use super::map::PIECE;
use crate::kernel::{Call, Kernel, Making, State, excluded, floats};

const NAME: &str = "choose_experts_f32";

struct Choose {
    choice: Choice,
    experts: usize,
    bias: Option<Vec<f32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let experts = making.width(0)?;
    let bias = match (making.inputs.len(), making.constant(1)) {
        (1, _) => None,
        (_, Some(Data::F32(bias))) => Some(bias.clone()),
        _ => return None,
    };
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
            Some(bias) => room.corrected.extend(scores.iter().zip(bias).map(|(score, bias)| score + bias)),
            None => room.corrected.extend_from_slice(scores),
        }
        if !room.corrected.iter().all(|score| score.is_finite()) {
            // What is no number compares in its own way: rare enough for the meaning itself.
            let chosen = self.choice.choose(&room.corrected);
            return out.iter_mut().zip(chosen).for_each(|(out, expert)| *out = expert as i32);
        }
        room.choose(&self.choice, out);
    }
}

/// What a row needs, kept for the next.
#[derive(Default)]
pub struct Room<T> {
    pub corrected: Vec<T>,
    groups: Vec<T>,
    kept: Vec<bool>,
    found: Vec<(T, usize)>,
}

impl<T: Copy + Default + PartialOrd + Add<Output = T>> Room<T> {
    /// The experts of the greatest of what is corrected, none of which is a NaN.
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
                groups.push(found.iter().fold(T::default(), |sum, (score, _)| sum + *score));
            }
            greatest(groups.iter().copied().enumerate(), most, found);
            found.iter().for_each(|&(_, group)| kept[group] = true);
        }
        let allowed = corrected.iter().copied().enumerate().filter(|(expert, _)| kept[expert / size]);
        greatest(allowed, count, found);
        out.iter_mut().zip(found).for_each(|(out, (_, expert))| *out = *expert as i32);
    }
}

/// The `count` greatest, falling; the first of equal ones stays first. Sums of finite scores may be infinite, but none of
/// them is a NaN.
fn greatest<T: Copy + PartialOrd>(values: impl Iterator<Item = (usize, T)>, count: usize, found: &mut Vec<(T, usize)>) {
    found.clear();
    for (index, value) in values {
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
