//! Fast `silu_f32`: the reference function under wider instructions.

use graph::{Data, Fault, float};

use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

struct Silu;

pub fn make(_: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Silu))
}

impl Kernel for Silu {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        silu(call.level, floats(call, 0, "silu_f32")?, floats_out(out, "silu_f32")?);
        Ok(())
    }
}

versions! {
    fn silu(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = float::silu(*x);
        }
    }
}
