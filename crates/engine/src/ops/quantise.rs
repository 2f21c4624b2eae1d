//! Fast `quantise`: in binary64, as it is meant.

use graph::{Data, Element, Fault, ops::quantise::power_of_two};

use super::{
    map::PIECE as LARGE,
    pieces::{PIECE, Words, narrow},
};
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded, floats},
};

struct Quantise {
    scale: f64,
    low: i64,
    high: i64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let scale = power_of_two(making.integer("fraction")?);
    let (low, high) = (making.integer("low")?, making.integer("high")?);
    let known = matches!(making.output.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    known.then(|| Box::new(Quantise { scale, low, high }) as Box<dyn Kernel>)
}

impl Kernel for Quantise {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match out {
            Data::I8(out) => self.all(call, out),
            Data::U8(out) => self.all(call, out),
            Data::I16(out) => self.all(call, out),
            Data::I32(out) => self.all(call, out),
            _ => Err(excluded("quantise")),
        }
    }
}

impl Quantise {
    fn all<T: Words>(&self, call: &Call, out: &mut [T]) -> Result<(), Fault> {
        let x = floats(call, 0, "quantise")?;
        call.threads.each(out, 1, LARGE, |first, out| {
            let mut wide = [0; PIECE];
            for (index, out) in out.chunks_mut(PIECE).enumerate() {
                let wide = &mut wide[..out.len()];
                let x = &x[first + index * PIECE..][..out.len()];
                rounded(call.level, x, self.scale, self.low as f64, self.high as f64, wide);
                narrow(call.level, wide, out);
            }
        });
        Ok(())
    }
}

versions! {
    /// Bounds are within 32 bits, so binary64 holds them; what is no number becomes `low`.
    fn rounded(x: &[f32], scale: f64, low: f64, high: f64, out: &mut [i32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            let rounded = (f64::from(x) * scale).round_ties_even();
            let above = if rounded > low { rounded } else { low };
            *out = if above < high { above } else { high } as i32;
        }
    }
}
