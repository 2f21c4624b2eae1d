//! Integer products: activations of 8 or 16 bits times the `i8` format, exact in 32 bits.
//!
//! Sums wrap on the way where a level's trick makes them; they end within what the bounds rule of `linear` promises.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod planes;
mod portable;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use planes::Planes;
use planes::{SPAN, Sign};

use super::{
    Matrix, ROWS,
    matrix::{Output, pieces},
};
use crate::{
    cpu::{Instructions, Level},
    threads::Threads,
};

/// The sums of 16 outputs.
pub type Sums = [i32; ROWS];

/// Bytes of a span of a tile.
const SPAN_BYTES: usize = SPAN * ROWS;
/// Spans that are gone through together: the weights of two tiles stay in the first level of the cache.
const SPANS: usize = 16;
/// Tiles whose sums wait together, and groups of rows that are gone through together.
const TILES: usize = 8;
const GROUPS: usize = 32;

/// Some spans of one or two tiles, and where in the activations they begin.
#[derive(Clone, Copy)]
struct Work<'a> {
    /// `SPAN_BYTES` a span.
    tiles: [&'a [u8]; 2],
    /// One or two.
    count: usize,
    spans: usize,
    group: usize,
    span: usize,
    rows: usize,
}

impl Work<'_> {
    /// Panics unless everything is as long as the rest says: kernels rely on it.
    fn check(&self, x: &Planes, sums: &[Sums]) {
        assert!((1..=2).contains(&self.count), "one or two tiles");
        assert!(self.tiles.iter().all(|tile| tile.len() >= self.spans * SPAN_BYTES), "weights of every span");
        assert!(self.span + self.spans <= x.count(), "activations of every span");
        assert!(self.group * ROWS + self.rows <= x.rows(), "activations of every row");
        assert!(self.rows.is_multiple_of(ROWS) || self.group * ROWS + self.rows == x.rows(), "whole groups");
        assert_eq!(sums.len(), self.count * x.signs().len() * self.rows, "sums of every tile, plane and row");
    }
}

/// Adds to `[tile][plane][row]` sums. Unsafe to call unless the CPU has the level's instructions.
type Multiply = unsafe fn(Work, &Planes, &mut [Sums]);

static KERNELS: &[(Instructions, Multiply)] = &[
    (Instructions::Portable, portable::multiply),
    #[cfg(target_arch = "x86_64")]
    (Instructions::Avx2, avx2::multiply),
    #[cfg(target_arch = "x86_64")]
    (Instructions::Avx512, avx512::multiply),
    #[cfg(target_arch = "x86_64")]
    (Instructions::Amx, amx::multiply),
];

/// One row is bound by memory: vectors serve it as well as tiles, and start at once.
fn kernel(level: Level, rows: usize) -> (Instructions, Multiply) {
    let wanted = if rows == 1 { level.vectors() } else { level.instructions() };
    let found = KERNELS.iter().find(|(of, _)| *of == wanted);
    found.map_or((Instructions::Portable, portable::multiply), |found| *found)
}

/// `out[row][output]`, each sum begun at its bias.
pub fn multiply_integers(
    level: Level,
    threads: &Threads,
    weights: &Matrix,
    x: &Planes,
    bias: Option<&[i32]>,
    out: &mut [i32],
) {
    assert_eq!(out.len(), x.rows() * weights.outputs, "an output for every row and tile");
    assert_eq!(x.count(), weights.columns.div_ceil(SPAN), "columns on both sides");
    let task = Task { kernel: kernel(level, x.rows()), weights, x, bias, out: &Output::new(out, weights.outputs) };
    pieces(threads, weights.tiles(), |tiles| task.piece(tiles));
}

struct Task<'a> {
    kernel: (Instructions, Multiply),
    weights: &'a Matrix<'a>,
    x: &'a Planes,
    bias: Option<&'a [i32]>,
    out: &'a Output<'a, i32>,
}

impl Task<'_> {
    fn piece(&self, tiles: Range<usize>) {
        let rows = self.x.rows().min(GROUPS * ROWS);
        let mut sums = vec![[0; ROWS]; TILES * self.x.signs().len() * rows];
        for group in (0..self.x.groups()).step_by(GROUPS) {
            for from in tiles.clone().step_by(TILES) {
                self.unit(from..tiles.end.min(from + TILES), group, &mut sums);
            }
        }
    }

    /// Some tiles times some groups of rows.
    fn unit(&self, tiles: Range<usize>, group: usize, sums: &mut [Sums]) {
        let rows = (self.x.rows() - group * ROWS).min(GROUPS * ROWS);
        let (planes, count) = (self.x.signs().len(), self.x.count());
        let sums = &mut sums[..tiles.len() * planes * rows];
        self.start(group, rows, sums);
        // A row alone goes through a tile at once, as memory has it.
        let spans = if self.x.rows() == 1 { count } else { SPANS };
        let half = tiles.len().div_ceil(2);
        for span in (0..count).step_by(spans) {
            let spans = spans.min(count - span);
            for (pair, sums) in sums.chunks_mut(2 * planes * rows).enumerate().take(half) {
                let first = tiles.start + 2 * pair;
                let count = 2.min(tiles.end - first);
                let tile = |tile: usize| &self.weights.tile(tile)[span * SPAN_BYTES..][..spans * SPAN_BYTES];
                let tiles = [tile(first), tile(first + count - 1)];
                // SAFETY: the level's instructions are there.
                unsafe { (self.kernel.1)(Work { tiles, count, spans, group, span, rows }, self.x, sums) };
            }
        }
        for row in 0..rows {
            for (index, tile) in tiles.clone().enumerate() {
                self.finish(group * ROWS + row, tile, &sums[index * planes * rows + row..], rows);
            }
        }
    }

    /// What sums begin with: where weights are made unsigned, they become too great by 128 times the activations.
    fn start(&self, group: usize, rows: usize, sums: &mut [Sums]) {
        let biased = self.kernel.0 == Instructions::Avx512;
        for (index, sums) in sums.chunks_exact_mut(rows).enumerate() {
            let signed = self.x.signs()[index % self.x.signs().len()] == Sign::Signed;
            for (row, sums) in sums.iter_mut().enumerate() {
                let start = if biased && signed { self.x.sum(group * ROWS + row).wrapping_mul(-128) } else { 0 };
                *sums = [start; ROWS];
            }
        }
    }

    /// Writes a tile's outputs of a row; the next plane's sums are `rows` further on.
    fn finish(&self, row: usize, tile: usize, sums: &[Sums], rows: usize) {
        let mut out = sums[0];
        if let [_, _] = self.x.signs() {
            out.iter_mut().zip(sums[rows]).for_each(|(sum, low)| *sum = sum.wrapping_mul(256).wrapping_add(low));
        }
        if let Some(bias) = self.bias {
            out.iter_mut().zip(&bias[tile * ROWS..]).for_each(|(sum, bias)| *sum = sum.wrapping_add(*bias));
        }
        // SAFETY: every tile is in one piece, and pieces are done once.
        unsafe { self.out.write(row, tile, &out) };
    }
}
