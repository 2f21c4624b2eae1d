//! Fast `weigh_experts_f32`: reads the chosen scores alone.

use graph::{Data, Fault};

use crate::{
    kernel::{Call, Kernel, Making, State, excluded, floats, floats_out},
    ops::map::PIECE,
};

const NAME: &str = "weigh_experts_f32";

struct Weigh {
    experts: usize,
    count: usize,
    normalise: bool,
    scale: f32,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let (experts, count) = (making.width(0)?, making.width(1)?);
    let (normalise, scale) = (making.integer("normalise")? == 1, making.attributes.float("scale").ok()?);
    Some(Box::new(Weigh { experts, count, normalise, scale }))
}

impl Kernel for Weigh {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (scores, out) = (floats(call, 0, NAME)?, floats_out(out, NAME)?);
        let Some(Data::I32(choice)) = call.inputs.get(1) else { return Err(excluded(NAME)) };
        if choice.len() != out.len() || choice.iter().any(|&expert| !(0..self.experts as i32).contains(&expert)) {
            return Err(excluded(NAME));
        }
        call.threads.each(out, self.count, PIECE.div_ceil(self.count), |first, out| {
            let scores = scores[first * self.experts..].chunks_exact(self.experts);
            let choice = choice[first * self.count..].chunks_exact(self.count);
            for ((scores, choice), out) in scores.zip(choice).zip(out.chunks_exact_mut(self.count)) {
                self.row(scores, choice, out);
            }
        });
        Ok(())
    }
}

impl Weigh {
    fn row(&self, scores: &[f32], choice: &[i32], out: &mut [f32]) {
        let chosen = choice.iter().map(|&expert| scores[expert as usize]);
        out.iter_mut().zip(chosen).for_each(|(out, score)| *out = score);
        let sum = out.iter().fold(0.0_f32, |sum, score| sum + score);
        for out in out {
            *out = if self.normalise { *out / sum * self.scale } else { *out * self.scale };
        }
    }
}
