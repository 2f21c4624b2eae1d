//! Fast `softmax_f32`: powers and quotients under wider instructions; the sum stays the chain that it is.

use graph::{Data, Fault, float};

use super::map::PIECE;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

struct Softmax {
    width: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Softmax { width: making.width(0)? }))
}

impl Kernel for Softmax {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (x, out) = (floats(call, 0, "softmax_f32")?, floats_out(out, "softmax_f32")?);
        let width = self.width;
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let rows = x[first * width..].chunks_exact(width).zip(out.chunks_exact_mut(width));
            rows.for_each(|(x, out)| softmax(call.level, x, out));
        });
        Ok(())
    }
}

versions! {
    fn softmax(x: &[f32], out: &mut [f32]) {
        let most = x.iter().fold(f32::NEG_INFINITY, |most, &x| if x > most { x } else { most });
        for (out, x) in out.iter_mut().zip(x) {
            *out = float::exp(x - most);
        }
        let sum = out.iter().fold(0.0_f32, |sum, power| sum + power);
        for out in out {
            *out /= sum;
        }
    }
}
