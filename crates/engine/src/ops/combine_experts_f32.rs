//! Fast `combine_experts_f32`: one chain an output over the choice, outputs side by side.

use graph::{Data, Fault};

use super::map::PIECE;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

struct Combine {
    count: usize,
    width: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Combine { count: making.width(1)?, width: making.width(0)? }))
}

impl Kernel for Combine {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (said, weights) = (floats(call, 0, "combine_experts_f32")?, floats(call, 1, "combine_experts_f32")?);
        let Self { count, width } = *self;
        let out = floats_out(out, "combine_experts_f32")?;
        call.threads.each(out, width, PIECE.div_ceil(count * width), |first, out| {
            let said = said[first * count * width..].chunks_exact(count * width);
            let rows = said.zip(weights[first * count..].chunks_exact(count)).zip(out.chunks_exact_mut(width));
            rows.for_each(|((said, weights), out)| combine(call.level, said, weights, out));
        });
        Ok(())
    }
}

versions! {
    fn combine(said: &[f32], weights: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for (weight, said) in weights.iter().zip(said.chunks_exact(out.len())) {
            for (out, said) in out.iter_mut().zip(said) {
                *out = weight.mul_add(*said, *out);
            }
        }
    }
}
