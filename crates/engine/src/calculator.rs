//! Calibration and conversion with this CPU's vectors and threads: the bits of `graph`'s plain calculator.

use graph::language::{calculator::Calculator, decoder::Matrix};

use crate::{
    cpu::{Level, versions},
    simd::{Vector, by_level},
    threads::Threads,
};

/// Rows that lie side by side: a vector holds the same column of several.
const SIDE: usize = 32;
/// Columns that are gone through together: those of all rows stay in the first level of the cache.
const COLUMNS: usize = 256;
/// Outputs of one pass.
const PASS: usize = 4;

pub struct Fast {
    level: Level,
    threads: Threads,
}

impl Fast {
    pub fn new(level: Level, threads: Threads) -> Self {
        Self { level, threads }
    }
}

impl Calculator for Fast {
    fn multiply(&self, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        let (columns, outputs) = (matrix.columns, matrix.rows);
        let rows = x.len() / columns;
        let side = rows.next_multiple_of(SIDE);
        let turned = turned(x, columns, side);
        // An output's sums of all rows, then the next one's.
        let mut sums = vec![0.0; outputs * side];
        self.threads.each(&mut sums, side, PASS, |first, sums| {
            let weights = &matrix.values[first * columns..][..sums.len() / side * columns];
            piece(self.level, weights, columns, &turned, sums);
        });
        let mut out = vec![0.0; rows * outputs];
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            out.iter_mut().zip(sums[row..].iter().step_by(side)).for_each(|(out, sum)| *out = *sum);
            matrix.bias.iter().flatten().zip(out).for_each(|(bias, sum)| *sum += bias);
        }
        out
    }

    fn quantise(&self, weights: &[f32], unit: f64, out: &mut [i8]) {
        quantise(self.level, weights, unit, out);
    }
}

/// `[rows / SIDE][column][SIDE]`, filled up with zeros.
fn turned(x: &[f32], columns: usize, side: usize) -> Vec<f32> {
    let mut turned = vec![0.0; side * columns];
    for (row, x) in x.chunks_exact(columns).enumerate() {
        let panel = &mut turned[row / SIDE * SIDE * columns..][row % SIDE..];
        panel.iter_mut().step_by(SIDE).zip(x).for_each(|(to, x)| *to = *x);
    }
    turned
}

fn piece(level: Level, weights: &[f32], columns: usize, x: &[f32], sums: &mut [f32]) {
    let side = x.len() / columns;
    for (panel, x) in x.chunks_exact(SIDE * columns).enumerate() {
        for from in (0..columns).step_by(COLUMNS) {
            let to = columns.min(from + COLUMNS);
            let x = &x[from * SIDE..to * SIDE];
            let passes = weights.chunks(PASS * columns).zip(sums.chunks_mut(PASS * side));
            for (weights, sums) in passes {
                let pass = Pass { weights: &weights[from..], columns, x, side };
                pass.run(level, &mut sums[panel * SIDE..]);
            }
        }
    }
}

/// Some columns of up to four outputs times a panel of rows.
struct Pass<'a> {
    weights: &'a [f32],
    /// From one output's weights to the next one's.
    columns: usize,
    x: &'a [f32],
    /// From one output's sums to the next one's.
    side: usize,
}

impl Pass<'_> {
    fn run(&self, level: Level, sums: &mut [f32]) {
        let (pass, count) = (self, self.x.len() / SIDE);
        let outputs = sums.len().div_ceil(self.side);
        assert!(outputs <= PASS && sums.len() >= (outputs - 1) * self.side + SIDE, "sums of every output");
        assert!(self.weights.len() >= (outputs - 1) * self.columns + count, "weights of every output");
        // SAFETY: the level was detected; the asserts bound everything that is read and written.
        unsafe { by_level!(level, by_outputs(pass: &Pass, outputs: usize, sums: &mut [f32])) }
    }
}

/// # Safety
/// As `chains`, for one to four outputs.
#[inline(always)]
unsafe fn by_outputs<V: Vector>(pass: &Pass, outputs: usize, sums: &mut [f32]) {
    // SAFETY: as the caller promises.
    unsafe {
        match outputs {
            1 => chains::<V, 1>(pass, sums),
            2 => chains::<V, 2>(pass, sums),
            3 => chains::<V, 3>(pass, sums),
            _ => chains::<V, PASS>(pass, sums),
        }
    }
}

/// # Safety
/// The CPU has the vectors' instructions; there are weights and sums of `R` outputs.
#[inline(always)]
unsafe fn chains<V: Vector, const R: usize>(pass: &Pass, sums: &mut [f32]) {
    let count = pass.x.len() / SIDE;
    for lane in (0..SIDE).step_by(2 * V::WIDTH) {
        // SAFETY: as the caller promises; two vectors are a divisor of the rows side by side.
        unsafe {
            let place = |output: usize, half: usize| output * pass.side + lane + half * V::WIDTH;
            let mut all: [[V; 2]; R] =
                std::array::from_fn(|output| [0, 1].map(|half| V::load(sums.as_ptr().add(place(output, half)))));
            for column in 0..count {
                let x = [0, 1].map(|half| V::load(pass.x.as_ptr().add(column * SIDE + lane + half * V::WIDTH)));
                for (output, sums) in all.iter_mut().enumerate() {
                    let weight = V::splat(*pass.weights.as_ptr().add(output * pass.columns + column));
                    // A product is rounded before it is added, as the plain calculator does.
                    *sums = [sums[0].add(x[0].multiply(weight)), sums[1].add(x[1].multiply(weight))];
                }
            }
            for (output, all) in all.into_iter().enumerate() {
                for (half, all) in all.into_iter().enumerate() {
                    all.store(sums.as_mut_ptr().add(place(output, half)));
                }
            }
        }
    }
}

versions! {
    fn quantise(weights: &[f32], unit: f64, out: &mut [i8]) {
        for (out, &weight) in out.iter_mut().zip(weights) {
            let nearest = (f64::from(weight) / unit + 0.5).floor();
            let above = if nearest > -127.0 { nearest } else { -127.0 };
            *out = (if above < 127.0 { above } else { 127.0 }) as i32 as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use graph::language::calculator::Plain;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_level_calculates_what_plain_words_do(
            outputs in 1_usize..40, columns in 1_usize..600, rows in 1_usize..80, seed: u64,
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as i32 as f32 * 1e-9
            };
            let values: Vec<f32> = (0..outputs * columns).map(|_| next()).collect();
            let bias = (seed % 2 == 0).then(|| (0..outputs).map(|_| next()).collect());
            let x: Vec<f32> = (0..rows * columns).map(|_| next()).collect();
            let matrix = Matrix { rows: outputs, columns, values, bias };
            let mut quants = [vec![0; columns], vec![0; columns]];
            Plain.quantise(&matrix.values[..columns], 0.013, &mut quants[0]);
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
            let expected = bits(Plain.multiply(&matrix, &x));
            for level in Level::available() {
                let fast = Fast::new(level, Threads::new(3));
                prop_assert!(bits(fast.multiply(&matrix, &x)) == expected, "{}", level.name());
                fast.quantise(&matrix.values[..columns], 0.013, &mut quants[1]);
                prop_assert!(quants[0] == quants[1], "{}", level.name());
            }
        }
    }
}
