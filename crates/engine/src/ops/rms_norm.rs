//! Fast `rms_norm`.

use graph::{Data, Element, Fault, fixed, ops::rms_norm::SHIFT};

use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded, sums_out},
};

struct RmsNorm {
    width: usize,
    epsilon: i64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let kernel = RmsNorm { width: making.width(0)?, epsilon: making.integer("epsilon")? };
    (making.inputs.first()?.element == Element::I16).then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Kernel for RmsNorm {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let Some(Data::I16(x)) = call.inputs.first() else { return Err(excluded("rms_norm")) };
        let out = sums_out(out, "rms_norm")?;
        for (x, out) in x.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)) {
            normalise(call.level, x, self.epsilon, out);
        }
        Ok(())
    }
}

versions! {
    fn normalise(x: &[i16], epsilon: i64, out: &mut [i32]) {
        let squares: i64 = x.iter().map(|&x| i64::from(i32::from(x) * i32::from(x))).sum();
        let root = fixed::reciprocal_root((squares + epsilon).unsigned_abs()) as i64;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = ((i64::from(x) * root + (1 << (SHIFT - 1))) >> SHIFT) as i32;
        }
    }
}
