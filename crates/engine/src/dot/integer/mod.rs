//! Integer products: activations of 8 or 16 bits times the `i8` format, exact in 32 bits.
//!
//! Two steps: `Planes` lays activations out, once for all matrices that multiply them; `multiply_integers` gives the sums, and
//! `multiply_integers_then` what a tail (`crate::tail`) makes of them, which costs little while they are near. Rows may
//! be as many as there are: texts, pixels, whatever has columns; work is cut over outputs. One row is bound by memory, from
//! eight rows on by the products: two tiles times eight rows reach 98 % of what this CPU's `vpdpbusd` can do.
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
    cpu::{Instructions, Level, versions},
    tail::{Cell, Tail},
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
    /// Weights that are needed next: worth asking for.
    next: [&'a [u8]; 2],
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

/// `out[row][output]`, each sum begun at its bias: for kernels that want the sums themselves.
#[allow(dead_code, reason = "the entry for kernels without a tail; language models have none left")]
pub fn multiply_integers(
    level: Level,
    threads: &Threads,
    weights: &Matrix,
    x: &Planes,
    bias: Option<&[i32]>,
    out: &mut [i32],
) {
    multiply_integers_then(level, threads, weights, x, bias, &Tail::Sums, out);
}

/// As `multiply_integers`, each sum brought through a tail while it is near: what is written are its outputs.
#[allow(clippy::too_many_arguments, reason = "who multiplies, what, and what with the sums: nothing to bundle")]
pub fn multiply_integers_then<T: Cell>(
    level: Level,
    threads: &Threads,
    weights: &Matrix,
    x: &Planes,
    bias: Option<&[i32]>,
    tail: &Tail,
    out: &mut [T],
) {
    assert_eq!(out.len(), x.rows() * weights.outputs, "an output for every row and tile");
    assert_eq!(x.count(), weights.columns.div_ceil(SPAN), "columns on both sides");
    let out = &Output::new(out, weights.outputs);
    let task = Task { level, kernel: kernel(level, x.rows()), weights, x, bias, tail, rows: None, out };
    pieces(threads, weights.tiles(), |tiles| task.piece(tiles));
}

/// Some tiles of a matrix times activations, without a bias. Row i of the activations makes row `rows[i]` of the output: for
/// callers that cut the work themselves.
///
/// # Safety
/// No output of these rows and tiles is in another hand.
pub unsafe fn multiply_integer_tiles<T: Cell>(
    level: Level,
    weights: &Matrix,
    tiles: Range<usize>,
    x: &Planes,
    rows: &[usize],
    tail: &Tail,
    out: &Output<T>,
) {
    assert_eq!(x.rows(), rows.len(), "a place for every row");
    assert_eq!(x.count(), weights.columns.div_ceil(SPAN), "columns on both sides");
    Task { level, kernel: kernel(level, x.rows()), weights, x, bias: None, tail, rows: Some(rows), out }.piece(tiles);
}

struct Task<'a, T> {
    level: Level,
    kernel: (Instructions, Multiply),
    weights: &'a Matrix<'a>,
    x: &'a Planes,
    bias: Option<&'a [i32]>,
    tail: &'a Tail,
    /// Where each row's outputs go, if not in the rows' own order.
    rows: Option<&'a [usize]>,
    out: &'a Output<'a, T>,
}

impl<'a, T: Cell> Task<'a, T> {
    /// The row of the output that a row of the activations makes.
    fn place(&self, row: usize) -> usize {
        self.rows.map_or(row, |rows| rows[row])
    }

    fn piece(&self, tiles: Range<usize>) {
        if self.x.rows() == 1 {
            return self.single(tiles);
        }
        let rows = self.x.rows().min(GROUPS * ROWS);
        let mut sums = vec![[0; ROWS]; TILES * self.x.signs().len() * rows];
        for group in (0..self.x.groups()).step_by(GROUPS) {
            for from in tiles.clone().step_by(TILES) {
                self.unit(from..tiles.end.min(from + TILES), group, &mut sums);
            }
        }
    }

    /// One row: whole tiles in the order in which memory has them, one stream. The sums of some wait for each other, so that
    /// what is made of them costs one call.
    fn single(&self, tiles: Range<usize>) {
        let (planes, spans) = (self.x.signs().len(), self.x.count());
        for from in tiles.clone().step_by(TILES) {
            let tiles = from..tiles.end.min(from + TILES);
            let mut sums = [[0; ROWS]; 2 * TILES];
            let sums = &mut sums[..planes * tiles.len()];
            self.start(tiles.clone(), 0, 1, sums);
            for (tile, sums) in tiles.clone().zip(sums.chunks_exact_mut(planes)) {
                let weights = self.weights.tile(tile);
                let work = Work { tiles: [weights; 2], next: [&[]; 2], count: 1, spans, group: 0, span: 0, rows: 1 };
                // SAFETY: the level's instructions are there.
                unsafe { (self.kernel.1)(work, self.x, sums) };
            }
            let mut line = [0; TILES * ROWS];
            gather(self.level, sums, (1, planes), 0, &mut line);
            // SAFETY: every tile is in one piece, and pieces are done once.
            let out = unsafe { self.out.part(self.place(0), tiles.clone()) };
            T::fill(self.level, self.tail, from * ROWS, &line[..out.len()], out);
        }
    }

    /// Some tiles times some groups of rows.
    fn unit(&self, tiles: Range<usize>, group: usize, sums: &mut [Sums]) {
        let rows = (self.x.rows() - group * ROWS).min(GROUPS * ROWS);
        let (planes, count) = (self.x.signs().len(), self.x.count());
        let sums = &mut sums[..tiles.len() * planes * rows];
        self.start(tiles.clone(), group, rows, sums);
        let half = tiles.len().div_ceil(2);
        for span in (0..count).step_by(SPANS) {
            let width = SPANS.min(count - span);
            for (pair, sums) in sums.chunks_mut(2 * planes * rows).enumerate().take(half) {
                let first = tiles.start + 2 * pair;
                let both = 2.min(tiles.end - first);
                let last = pair + 1 == half;
                let (next, from) = if last { (tiles.start, span + width) } else { (first + 2, span) };
                let work = Work {
                    tiles: self.pair(first, both, span, width),
                    next: self.pair(next, 2, from, SPANS),
                    count: both,
                    spans: width,
                    group,
                    span,
                    rows,
                };
                // SAFETY: the level's instructions are there.
                unsafe { (self.kernel.1)(work, self.x, sums) };
            }
        }
        let mut line = [0; TILES * ROWS];
        for row in 0..rows {
            gather(self.level, sums, (rows, planes), row, &mut line);
            // SAFETY: every tile is in one piece, and pieces are done once.
            let out = unsafe { self.out.part(self.place(group * ROWS + row), tiles.clone()) };
            T::fill(self.level, self.tail, tiles.start * ROWS, &line[..out.len()], out);
        }
    }

    /// Some spans of a tile and of the one behind it, or twice of one where it is alone. Past the last: of the next
    /// tiles from their first, or nothing.
    fn pair(&self, tile: usize, count: usize, span: usize, spans: usize) -> [&'a [u8]; 2] {
        let all = self.x.count();
        let (tile, span) = if span >= all { (tile + TILES, 0) } else { (tile, span) };
        let of = |tile: usize| {
            if tile >= self.weights.tiles() {
                return &[][..];
            }
            &self.weights.tile(tile)[span * SPAN_BYTES..all.min(span + spans) * SPAN_BYTES]
        };
        [of(tile), of(tile + count - 1)]
    }

    /// What sums begin with: the bias, in the last plane's; and where weights are made unsigned, signed planes' become too
    /// great by 128 times the activations.
    fn start(&self, tiles: Range<usize>, group: usize, rows: usize, sums: &mut [Sums]) {
        let biased = self.kernel.0 == Instructions::Avx512;
        let planes = self.x.signs().len();
        for (index, sums) in sums.chunks_exact_mut(rows).enumerate() {
            let signed = self.x.signs()[index % planes] == Sign::Signed;
            let mut first = [0; ROWS];
            if let Some(bias) = self.bias.filter(|_| index % planes + 1 == planes) {
                let bias = &bias[(tiles.start + index / planes) * ROWS..];
                first.iter_mut().zip(bias).for_each(|(first, bias)| *first = *bias);
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let less = if biased && signed { self.x.sum(group * ROWS + row).wrapping_mul(-128) } else { 0 };
                *sums = first.map(|first| first.wrapping_add(less));
            }
        }
    }
}

/// The sums of a row of one tile's `[plane][row]`; a second plane counts units of the first's 256th.
#[inline(always)]
fn combined(sums: &[Sums], rows: usize, row: usize) -> Sums {
    let mut line = sums[row];
    if let Some(low) = sums.get(rows + row) {
        line.iter_mut().zip(low).for_each(|(sum, low)| *sum = sum.wrapping_mul(256).wrapping_add(*low));
    }
    line
}

versions! {
    /// The sums of a row, tile after tile, of `[tile][plane][row]`.
    fn gather(sums: &[Sums], shape: (usize, usize), row: usize, line: &mut [i32; TILES * ROWS]) {
        let (rows, planes) = shape;
        for (line, sums) in line.as_chunks_mut::<ROWS>().0.iter_mut().zip(sums.chunks_exact(rows * planes)) {
            *line = combined(sums, rows, row);
        }
    }
}
