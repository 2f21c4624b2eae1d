//! Fast `layer_norm`: a row at a time; the root is estimated in binary64 and mended by the exact comparison.

use graph::{
    Data, Fault,
    ops::layer_norm::{FRACTION, SHIFT},
};

use super::pieces::{Words, narrow, widen};
use crate::{
    constants::Numbers,
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded},
};

struct LayerNorm {
    gain: Numbers<i32>,
    bias: Numbers<i64>,
    epsilon: i64,
    shift: u32,
    low: i64,
    high: i64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let known = matches!(
        making.inputs.first()?.element,
        graph::Element::I8 | graph::Element::U8 | graph::Element::I16 | graph::Element::I32
    );
    let kernel = LayerNorm {
        gain: making.numbers(1)?,
        bias: making.numbers(2)?,
        epsilon: making.integer("epsilon")?,
        shift: u32::try_from(making.integer("shift")?).ok()?,
        low: making.integer("low")?,
        high: making.integer("high")?,
    };
    known.then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Kernel for LayerNorm {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match out {
            Data::I8(out) => self.rows(call, out),
            Data::U8(out) => self.rows(call, out),
            Data::I16(out) => self.rows(call, out),
            Data::I32(out) => self.rows(call, out),
            _ => Err(excluded("layer_norm")),
        }
    }
}

impl LayerNorm {
    fn rows<T: Words>(&self, call: &Call, out: &mut [T]) -> Result<(), Fault> {
        let x = *call.inputs.first().ok_or(excluded("layer_norm"))?;
        let width = self.gain.len();
        call.threads.each(out, width, super::map::PIECE.div_ceil(width), |first, out| {
            let mut row = vec![0; width];
            for (index, out) in out.chunks_exact_mut(width).enumerate() {
                widen(call.level, x, (first + index) * width, None, &mut row);
                let mut sums = [0; 2];
                both(call.level, &row, &mut sums);
                let [sum, squares] = sums;
                let root = root((width as i64 * squares - sum * sum + self.epsilon).unsigned_abs());
                normalise(call.level, self, sum, root, &mut row);
                narrow(call.level, &row, out);
            }
        });
        Ok(())
    }
}

/// The greatest `r` with `r² · v ≤ 2^94`.
fn root(v: u64) -> i64 {
    const LIMIT: u128 = 1 << 94;
    let v = u128::from(v.max(1));
    let fits = |r: u64| u128::from(r) * u128::from(r) * v <= LIMIT;
    // Within a unit of the last of 53 bits, so a step or two of 47 bits away at most.
    let mut r = (140_737_488_355_328.0 / (v as f64).sqrt()) as u64;
    while !fits(r) {
        r -= 1;
    }
    while fits(r + 1) {
        r += 1;
    }
    r as i64
}

versions! {
    /// The sum, and the sum of squares, which the bounds rule keeps below 2^62.
    fn both(row: &[i32], sums: &mut [i64; 2]) {
        let (mut sum, mut squares) = (0, 0);
        for &x in row {
            sum += i64::from(x);
            squares += i64::from(x) * i64::from(x);
        }
        *sums = [sum, squares];
    }
}

versions! {
    fn normalise(by: &LayerNorm, sum: i64, root: i64, row: &mut [i32]) {
        let width = row.len() as i64;
        let half = (1_i64 << by.shift) >> 1;
        const { assert!(SHIFT + FRACTION == 47, "the root is in units of 2^-47") }
        for ((x, &gain), &bias) in row.iter_mut().zip(by.gain.iter()).zip(by.bias.iter()) {
            let normal = ((width * i64::from(*x) - sum) * root + (1 << (SHIFT - 1))) >> SHIFT;
            *x = ((normal * i64::from(gain) + bias + half) >> by.shift).max(by.low).min(by.high) as i32;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn roots_are_those_of_the_meaning() {
        let edges = (0..63).flat_map(|bits| [1_u64 << bits, (1 << bits) + 1, (2 << bits) - 1]);
        for v in edges.filter(|&v| v <= 1 << 62).chain((1..5000).map(|i| i * i * 7 + 3)) {
            assert_eq!(super::root(v), graph::ops::layer_norm::root(v), "{v}");
        }
    }
}
