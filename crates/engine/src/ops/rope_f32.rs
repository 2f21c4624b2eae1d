//! Fast `rope_f32`.

use graph::{Data, Fault};

use super::map::PIECE;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

struct Rope {
    width: usize,
    head: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(Rope { width: making.width(0)?, head: making.width(1)? }))
}

impl Kernel for Rope {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (x, table) = (floats(call, 0, "rope_f32")?, floats(call, 1, "rope_f32")?);
        let out = floats_out(out, "rope_f32")?;
        let (width, head) = (self.width, self.head);
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let rows = x[first * width..].chunks_exact(width).zip(out.chunks_exact_mut(width));
            for ((x, out), place) in rows.zip(&call.places[first..]) {
                turn(call.level, x, &table[place.position * head..][..head], out);
            }
        });
        Ok(())
    }
}

versions! {
    fn turn(x: &[f32], angles: &[f32], out: &mut [f32]) {
        let half = angles.len() / 2;
        let (cosines, sines) = angles.split_at(half);
        for (x, out) in x.chunks_exact(angles.len()).zip(out.chunks_exact_mut(angles.len())) {
            let (low, high) = x.split_at(half);
            let (out_low, out_high) = out.split_at_mut(half);
            for pair in 0..half {
                let (one, other) = (low[pair], high[pair]);
                out_low[pair] = one.mul_add(cosines[pair], -(other * sines[pair]));
                out_high[pair] = other.mul_add(cosines[pair], one * sines[pair]);
            }
        }
    }
}
