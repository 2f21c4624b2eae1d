//! Fast `rms_norm_f32`: the reference order under wider instructions.

use graph::{
    Data, Fault,
    ops::rms_norm_f32::{LANES, tree},
};

use super::map::PIECE;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

struct RmsNorm {
    epsilon: f32,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(RmsNorm { epsilon: making.attributes.float("epsilon").ok()? }))
}

impl Kernel for RmsNorm {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (x, gain) = (floats(call, 0, "rms_norm_f32")?, floats(call, 1, "rms_norm_f32")?);
        let out = floats_out(out, "rms_norm_f32")?;
        let width = gain.len();
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let rows = x[first * width..].chunks_exact(width).zip(out.chunks_exact_mut(width));
            rows.for_each(|(x, out)| normalise(call.level, x, gain, self.epsilon, out));
        });
        Ok(())
    }
}

versions! {
    fn normalise(x: &[f32], gain: &[f32], epsilon: f32, out: &mut [f32]) {
        let mut lanes = [0.0_f32; LANES];
        for x in x.chunks(LANES) {
            for (lane, x) in lanes.iter_mut().zip(x) {
                *lane = x.mul_add(*x, *lane);
            }
        }
        let scale = 1.0 / (tree(lanes) / x.len() as f32 + epsilon).sqrt();
        for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
            *out = x * scale * gain;
        }
    }
}
