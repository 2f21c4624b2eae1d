//! Fast `choose_experts_f32`: one walk over the scores that keeps the greatest so far.

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

/// What a row needs, kept for the next.
#[derive(Default)]
struct Room {
    corrected: Vec<f32>,
    groups: Vec<f32>,
    kept: Vec<bool>,
    found: Vec<(f32, usize)>,
}

impl Choose {
    fn row(&self, scores: &[f32], room: &mut Room, out: &mut [i32]) {
        let Room { corrected, groups, kept, found } = room;
        let Choice { count, groups: of, kept: most, best } = self.choice;
        corrected.clear();
        match &self.bias {
            Some(bias) => corrected.extend(scores.iter().zip(bias).map(|(score, bias)| score + bias)),
            None => corrected.extend_from_slice(scores),
        }
        if !corrected.iter().all(|score| score.is_finite()) {
            // What is no number compares in its own way: rare enough for the meaning itself.
            let chosen = self.choice.choose(corrected);
            return out.iter_mut().zip(chosen).for_each(|(out, expert)| *out = expert as i32);
        }
        let size = self.experts / of;
        kept.clear();
        kept.resize(of, of == 1);
        if of > 1 {
            groups.clear();
            for scores in corrected.chunks_exact(size) {
                greatest(scores.iter().copied().enumerate(), best, found);
                groups.push(found.iter().fold(0.0_f32, |sum, (score, _)| sum + score));
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
fn greatest(values: impl Iterator<Item = (usize, f32)>, count: usize, found: &mut Vec<(f32, usize)>) {
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
