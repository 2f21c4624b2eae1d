//! An activation and the product behind it in one pass: `silu_f32` or `gelu_tanh_f32`, then `multiply_f32`. What lies
//! between them is wide, and nobody else reads it.

use graph::{Data, Fault, float, ops::gelu_tanh_f32::gelu};

use super::map::PIECE;
use crate::{
    cpu::{Level, versions},
    kernel::{Call, Kernel, State, floats, floats_out},
};

struct Gated(fn(Level, &[f32], &[f32], &mut [f32]));

/// The kernel for that activation, of inputs that are as long as the output: what goes into the activation, and the factor.
pub fn make(activation: &str) -> Option<Box<dyn Kernel>> {
    match activation {
        "silu_f32" => Some(Box::new(Gated(silu_product))),
        "gelu_tanh_f32" => Some(Box::new(Gated(gelu_product))),
        _ => None,
    }
}

impl Kernel for Gated {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (x, y) = (floats(call, 0, "multiply_f32")?, floats(call, 1, "multiply_f32")?);
        let out = floats_out(out, "multiply_f32")?;
        call.threads.each(out, 1, PIECE, |first, out| {
            self.0(call.level, &x[first..][..out.len()], &y[first..][..out.len()], out);
        });
        Ok(())
    }
}

versions! {
    fn silu_product(x: &[f32], y: &[f32], out: &mut [f32]) {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = float::silu(*x) * y;
        }
    }
}

versions! {
    fn gelu_product(x: &[f32], y: &[f32], out: &mut [f32]) {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = gelu(*x) * y;
        }
    }
}
