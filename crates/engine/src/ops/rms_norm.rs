//! Fast `rms_norm`.

use graph::{Data, Element, Fault, fixed, ops::rms_norm::SHIFT};

use super::map::PIECE;
use crate::{
    cpu::{Level, versions},
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

impl RmsNorm {
    fn rows<T: Sync>(&self, call: &Call, x: &[T], out: &mut [i32], one: fn(Level, &[T], i64, &mut [i32])) {
        let width = self.width;
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let rows = x[first * width..].chunks_exact(width).zip(out.chunks_exact_mut(width));
            rows.for_each(|(x, out)| one(call.level, x, self.epsilon, out));
        });
    }
}

impl Kernel for RmsNorm {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let out = sums_out(out, "rms_norm")?;
        match call.inputs.first() {
            Some(Data::I16(x)) => self.rows(call, x, out, words),
            Some(Data::I32(x)) => self.rows(call, x, out, sums),
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
