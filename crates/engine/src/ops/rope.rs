//! Fast `rope`, and what is behind it.

use std::sync::Arc;

use graph::{Data, Element, Fault};

use super::map::PIECE;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, cells, excluded},
    tail::{Cell, Tail},
};

struct Rope {
    width: usize,
    head: usize,
    tail: Arc<Tail>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let kernel = Rope { width: making.width(0)?, head: making.width(1)?, tail: Arc::clone(&making.tail) };
    (making.inputs.first()?.element == Element::I16).then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Kernel for Rope {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let [Data::I16(x), Data::I16(table)] = call.inputs else { return Err(excluded("rope")) };
        cells!(out, "rope", out => self.rows(call, x, table, out));
        Ok(())
    }
}

impl Rope {
    fn rows<T: Cell>(&self, call: &Call, x: &[i16], table: &[i16], out: &mut [T]) {
        let (width, head) = (self.width, self.head);
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let mut turned = vec![0; width];
            let rows = x[first * width..].chunks_exact(width).zip(out.chunks_exact_mut(width));
            for ((x, out), place) in rows.zip(&call.places[first..]) {
                turn(call.level, x, &table[place.position * head..][..head], &mut turned);
                T::fill(call.level, &self.tail, 0, &turned, out);
            }
        });
    }
}

versions! {
    fn turn(x: &[i16], angles: &[i16], out: &mut [i32]) {
        let half = angles.len() / 2;
        let (cosines, sines) = angles.split_at(half);
        for (x, out) in x.chunks_exact(angles.len()).zip(out.chunks_exact_mut(angles.len())) {
            let (low, high) = x.split_at(half);
            let (out_low, out_high) = out.split_at_mut(half);
            for pair in 0..half {
                let (one, other) = (i32::from(low[pair]), i32::from(high[pair]));
                let (cosine, sine) = (i32::from(cosines[pair]), i32::from(sines[pair]));
                out_low[pair] = one * cosine - other * sine;
                out_high[pair] = other * cosine + one * sine;
            }
        }
    }
}
