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
    let covered = matches!(making.inputs.first()?.element, Element::I16 | Element::I32);
    covered.then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Kernel for RmsNorm {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let out = sums_out(out, "rms_norm")?;
        match call.inputs.first() {
            Some(Data::I16(x)) => {
                for (x, out) in x.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)) {
                    words(call.level, x, self.epsilon, out);
                }
            }
            Some(Data::I32(x)) => {
                for (x, out) in x.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)) {
                    sums(call.level, x, self.epsilon, out);
                }
            }
            _ => return Err(excluded("rms_norm")),
        }
        Ok(())
    }
}

/// The bounds rule keeps the sum of squares within 2^62 and every product with the root within 2^31.
#[inline(always)]
fn normalise<T: Copy + Into<i64>>(x: &[T], epsilon: i64, out: &mut [i32]) {
    let squares: i64 = x.iter().map(|&x| x.into() * x.into()).sum();
    let root = fixed::reciprocal_root((squares + epsilon).unsigned_abs()) as i64;
    for (out, &x) in out.iter_mut().zip(x) {
        *out = ((x.into() * root + (1 << (SHIFT - 1))) >> SHIFT) as i32;
    }
}

versions! { fn words(x: &[i16], epsilon: i64, out: &mut [i32]) { normalise(x, epsilon, out) } }
versions! { fn sums(x: &[i32], epsilon: i64, out: &mut [i32]) { normalise(x, epsilon, out) } }
