//! Fast `combine_experts`: sums of 64 bits, outputs side by side.

use graph::{Data, Element, Fault};

use super::map::PIECE;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, cells, excluded},
};

const NAME: &str = "combine_experts";
/// Outputs whose sums wait together.
const COLUMNS: usize = 256;

struct Combine {
    count: usize,
    width: usize,
    shift: i64,
    low: i64,
    high: i64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let is = |input: usize, element| making.inputs.get(input).is_some_and(|fact| fact.element == element);
    let narrow = matches!(making.output.element, Element::I8 | Element::I16 | Element::I32);
    let known = narrow && is(0, Element::I32) && is(1, Element::I16);
    let (low, high) = (making.integer("low")?, making.integer("high")?);
    let (count, width, shift) = (making.width(1)?, making.width(0)?, making.integer("shift")?);
    known.then(|| Box::new(Combine { count, width, shift, low, high }) as Box<dyn Kernel>)
}

/// An element that holds what the clamp leaves.
trait Narrow: Copy + Send {
    fn narrow(value: i64) -> Self;
}

macro_rules! narrow {
    ($($element:ty),*) => {
        $(impl Narrow for $element {
            fn narrow(value: i64) -> Self {
                value as $element
            }
        })*
    };
}
narrow!(i8, i16, i32);

impl Kernel for Combine {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let [Data::I32(said), Data::I16(weights)] = call.inputs else { return Err(excluded(NAME)) };
        cells!(out, "combine_experts", out => self.rows(call, said, weights, out));
        Ok(())
    }
}

impl Combine {
    fn rows<T: Narrow>(&self, call: &Call, said: &[i32], weights: &[i16], out: &mut [T]) {
        let Self { count, width, .. } = *self;
        call.threads.each(out, width, PIECE.div_ceil(count * width), |first, out| {
            let said = said[first * count * width..].chunks_exact(count * width);
            let rows = said.zip(weights[first * count..].chunks_exact(count)).zip(out.chunks_exact_mut(width));
            for ((said, weights), out) in rows {
                for (piece, out) in out.chunks_mut(COLUMNS).enumerate() {
                    let mut sums = [0; COLUMNS];
                    let sums = &mut sums[..out.len()];
                    for (said, weight) in said.chunks_exact(width).zip(weights) {
                        add(call.level, (*weight).into(), &said[piece * COLUMNS..][..out.len()], sums);
                    }
                    let half = (1_i64 << self.shift) >> 1;
                    let scaled = sums.iter().map(|sum| ((sum + half) >> self.shift).max(self.low).min(self.high));
                    out.iter_mut().zip(scaled).for_each(|(out, value)| *out = T::narrow(value));
                }
            }
        });
    }
}

versions! {
    fn add(weight: i64, said: &[i32], sums: &mut [i64]) {
        for (sum, said) in sums.iter_mut().zip(said) {
            *sum += weight * i64::from(*said);
        }
    }
}
