//! Fast `dequantise`: exact, so any way is the same.

use graph::{Data, Element, Fault, ops::quantise::power_of_two};

use super::{
    map::PIECE as LARGE,
    pieces::{PIECE, widen},
};
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, floats_out},
};

struct Dequantise {
    scale: f32,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let scale = power_of_two(-making.integer("fraction")?) as f32;
    let known = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    known.then(|| Box::new(Dequantise { scale }) as Box<dyn Kernel>)
}

impl Kernel for Dequantise {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let out = floats_out(out, "dequantise")?;
        let Some(&x) = call.inputs.first() else { return Ok(()) };
        call.threads.each(out, 1, LARGE, |first, out| {
            let mut wide = [0; PIECE];
            for (index, out) in out.chunks_mut(PIECE).enumerate() {
                let wide = &mut wide[..out.len()];
                widen(call.level, x, first + index * PIECE, None, wide);
                scaled(call.level, wide, self.scale, out);
            }
        });
        Ok(())
    }
}

versions! {
    fn scaled(x: &[i32], scale: f32, out: &mut [f32]) {
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = x as f32 * scale);
    }
}
