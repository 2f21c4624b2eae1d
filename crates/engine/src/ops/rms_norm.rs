//! Fast `rms_norm`, and what is behind it.

use std::sync::Arc;

use graph::{Data, Element, Fault, fixed, ops::rms_norm::SHIFT};

use super::map::PIECE;
use crate::{
    cpu::{Level, versions},
    kernel::{Call, Kernel, Making, State, cells, excluded},
    tail::{Cell, Tail},
};

struct RmsNorm {
    width: usize,
    epsilon: i64,
    tail: Arc<Tail>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let (width, epsilon) = (making.width(0)?, making.integer("epsilon")?);
    let kernel = RmsNorm { width, epsilon, tail: Arc::clone(&making.tail) };
    let covered = matches!(making.inputs.first()?.element, Element::I16 | Element::I32);
    covered.then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl RmsNorm {
    fn rows<X: Sync, T: Cell>(&self, call: &Call, x: &[X], out: &mut [T], one: fn(Level, &[X], i64, &mut [i32])) {
        let width = self.width;
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let mut normed = vec![0; width];
            for (x, out) in x[first * width..].chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                one(call.level, x, self.epsilon, &mut normed);
                T::fill(call.level, &self.tail, 0, &normed, out);
            }
        });
    }
}

impl Kernel for RmsNorm {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match call.inputs.first() {
            Some(Data::I16(x)) => cells!(out, "rms_norm", out => self.rows(call, x, out, words)),
            Some(Data::I32(x)) => cells!(out, "rms_norm", out => self.rows(call, x, out, sums)),
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
