//! Products in binary32 with the formats `f32`, `f16` and `bf16`: a chain over the columns for every output, 16 outputs
//! side by side. Halves are widened, which is exact, once for all rows.

use std::ops::Range;

use graph::Format;

use super::{
    Chain, Matrix, ROWS,
    halves::halves,
    matrix::{Output, pieces},
};
use crate::{
    cpu::{Level, versions},
    simd::{Vector, by_level},
    threads::Threads,
};

/// Columns that are gone through together: their weights stay in the first level of the cache.
const COLUMNS: usize = 256;
/// Rows of one pass.
const PASS: usize = 8;

/// Rows of activations.
#[derive(Clone, Copy)]
struct Rows<'a> {
    x: &'a [f32],
    columns: usize,
}

/// `out[row][output]`; the bias is added last.
pub fn multiply_floats(
    level: Level,
    threads: &Threads,
    weights: &Matrix,
    x: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let rows = Rows { x, columns: weights.columns };
    assert_eq!(x.len() * weights.outputs, out.len() * weights.columns, "an output for every row and tile");
    let out = Output::new(out, weights.outputs);
    pieces(threads, weights.tiles(), |tiles| {
        piece(level, weights, tiles, rows, |row, tile, chain| {
            if let Some(bias) = bias {
                chain.iter_mut().zip(&bias[tile * ROWS..]).for_each(|(sum, bias)| *sum += bias);
            }
            // SAFETY: every tile is in one piece, and pieces are done once.
            unsafe { out.write(row, tile, chain) };
        });
    });
}

/// Some tiles of a matrix times activations, without a bias. Row i of the activations makes row `rows[i]` of the output:
/// for callers that cut the work themselves.
///
/// # Safety
/// No output of these rows and tiles is in another hand.
pub unsafe fn multiply_float_tiles(
    level: Level,
    weights: &Matrix,
    tiles: Range<usize>,
    x: &[f32],
    rows: &[usize],
    out: &Output<f32>,
) {
    assert_eq!(x.len(), rows.len() * weights.columns, "a place for every row");
    piece(level, weights, tiles, Rows { x, columns: weights.columns }, |row, tile, chain| {
        // SAFETY: as the caller promises.
        unsafe { out.write(rows[row], tile, chain) };
    });
}

/// Goes through tiles; `finish` is told a row, a tile and its 16 sums.
fn piece(level: Level, weights: &Matrix, tiles: Range<usize>, x: Rows, finish: impl Fn(usize, usize, &mut Chain)) {
    let mut wide = vec![0.0; COLUMNS * ROWS];
    let mut chains = vec![[0.0; ROWS]; x.x.len() / x.columns];
    for tile in tiles {
        chains.fill([0.0; ROWS]);
        for from in (0..x.columns).step_by(COLUMNS) {
            let columns = from..x.columns.min(from + COLUMNS);
            widen(level, weights.format, weights.tile(tile), columns.clone(), &mut wide);
            for (pass, chains) in chains.chunks_mut(PASS).enumerate() {
                chain(level, &wide[..columns.len() * ROWS], x, (pass * PASS, from), chains);
            }
        }
        for (row, chain) in chains.iter_mut().enumerate() {
            finish(row, tile, chain);
        }
    }
}

/// Some columns of a tile in binary32.
fn widen(level: Level, format: Format, tile: &[u8], columns: Range<usize>, wide: &mut [f32]) {
    let bytes = format.layout().quants;
    let packed = &tile[columns.start * bytes..columns.end * bytes];
    match format {
        Format::F16 => halves(level, packed, wide),
        Format::Bf16 => upper_halves(level, packed, wide),
        _ => whole(level, packed, wide),
    }
}

versions! {
    fn upper_halves(packed: &[u8], wide: &mut [f32]) {
        for (bytes, wide) in packed.as_chunks::<2>().0.iter().zip(wide) {
            *wide = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
        }
    }
}

versions! {
    fn whole(packed: &[u8], wide: &mut [f32]) {
        for (bytes, wide) in packed.as_chunks::<4>().0.iter().zip(wide) {
            *wide = f32::from_le_bytes(*bytes);
        }
    }
}

/// Takes the chains of some rows, from a row and a column on, through columns of weights.
fn chain(level: Level, wide: &[f32], x: Rows, from: (usize, usize), chains: &mut [Chain]) {
    let count = wide.len() / ROWS;
    let start = from.0 * x.columns + from.1;
    assert!(chains.len() <= PASS && from.1 + count <= x.columns, "columns and rows of a pass");
    assert!(start + (chains.len() - 1) * x.columns + count <= x.x.len(), "activations of every row");
    let (x, stride) = (&x.x[start..], x.columns);
    // SAFETY: the level was detected; the asserts bound everything that is read and written.
    unsafe { by_level!(level, by_rows(wide: &[f32], x: &[f32], stride: usize, chains: &mut [Chain])) }
}

/// # Safety
/// As `run`, for any number of chains up to eight.
#[inline(always)]
unsafe fn by_rows<V: Vector>(wide: &[f32], x: &[f32], stride: usize, chains: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe {
        match chains.len() {
            1 => run::<V, 1>(wide, x, stride, chains),
            2 => run::<V, 2>(wide, x, stride, chains),
            3 => run::<V, 3>(wide, x, stride, chains),
            4 => run::<V, 4>(wide, x, stride, chains),
            5 => run::<V, 5>(wide, x, stride, chains),
            6 => run::<V, 6>(wide, x, stride, chains),
            7 => run::<V, 7>(wide, x, stride, chains),
            _ => run::<V, PASS>(wide, x, stride, chains),
        }
    }
}

/// # Safety
/// The CPU has the vectors' instructions; there are `R` chains, and rows of `x` that hold as many columns as `wide`.
#[inline(always)]
unsafe fn run<V: Vector, const R: usize>(wide: &[f32], x: &[f32], stride: usize, chains: &mut [Chain]) {
    for lane in (0..ROWS).step_by(V::WIDTH) {
        // SAFETY: as the caller promises; a vector's width divides the 16 lanes.
        unsafe {
            let mut sums: [V; R] = std::array::from_fn(|row| V::load(chains[row].as_ptr().add(lane)));
            for column in 0..wide.len() / ROWS {
                let weights = V::load(wide.as_ptr().add(column * ROWS + lane));
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum = weights.fused(V::splat(*x.as_ptr().add(row * stride + column)), *sum);
                }
            }
            for (sum, chain) in sums.into_iter().zip(chains.iter_mut()) {
                sum.store(chain.as_mut_ptr().add(lane));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use graph::{Packed, formats::Packer};
    use proptest::prelude::*;

    use super::*;

    fn check(format: Format, outputs: usize, columns: usize, rows: usize, seed: u64) {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let bytes = format.layout().source;
        let mut packer = Packer::new(format, &[outputs, columns]).unwrap();
        for _ in 0..outputs {
            let mut row: Vec<u8> = (0..columns * bytes).map(|_| next() as u8).collect();
            // Magnitudes below 2, subnormals among them.
            row.chunks_mut(bytes).for_each(|number| number[bytes - 1] &= 0xbf);
            packer.push(&row);
        }
        let weights: Packed = packer.finish().unwrap();
        let x: Vec<f32> = (0..rows * columns).map(|_| next() as i32 as f32 * 1e-9).collect();
        let bias: Vec<f32> = (0..outputs).map(|_| next() as i32 as f32 * 1e-9).collect();
        let of_rows: Vec<Vec<f32>> = (0..outputs).map(|output| weights.row(output)).collect();
        let sum = |row: usize, output: usize| {
            let columns = x[row * columns..][..columns].iter().zip(&of_rows[output]);
            columns.fold(0.0_f32, |sum, (x, w)| x.mul_add(*w, sum)) + bias[output]
        };
        for level in Level::available() {
            for threads in [Threads::one(), Threads::new(3)] {
                let mut found = vec![7.0; rows * outputs];
                multiply_floats(level, &threads, &Matrix::of(&weights, 0).unwrap(), &x, Some(&bias), &mut found);
                for (at, found) in found.iter().enumerate() {
                    let expected = sum(at / outputs, at % outputs);
                    let what = (format.name(), level.name(), outputs, columns, rows, seed, at);
                    assert!(found.to_bits() == expected.to_bits(), "{what:?}: {found} instead of {expected}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_level_has_the_chains_of_the_meaning(outputs in 1_usize..50, columns in 1_usize..600, rows in 1_usize..20, seed: u64) {
            for format in [Format::F32, Format::F16, Format::Bf16] {
                check(format, outputs, columns, rows, seed);
            }
        }
    }
}
