//! Matrix products in binary32: `c[i, j]` = chain by fma from +0 over k of `a[i, k]·b[k, j]`.
//!
//! A block of columns is computed at once, lane by lane, so that every chain is that of the meaning. The inner loop is plain
//! code, built for each level's instructions. A product is cut into tiles of rows and columns, which hands share.

use graph::program::{Crew, price};

use crate::threads::Cut;

/// Columns of a block.
pub const COLUMNS: usize = price::COLUMNS;
/// Most rows that share the loads of a block.
pub const ROWS: usize = 8;

/// Multiplications of a tile, at most: a millisecond or two.
const TILE: usize = 1 << 22;
/// A part of a tile's rows is a multiple of every level's rows that share loads, and not so small that copying a block for it would count.
const PART: usize = price::ROWS / 2;
/// How many of these multiplications cost as much as one operation of the accounts is taken for.
pub const FAST: usize = 8;

/// Most places of a sum whose numbers are copied side by side at once: 4 MiB of columns.
pub const PLACES: usize = 1 << 15;

/// Sums of a block, a line a row.
pub type Sums = [[f32; COLUMNS]; ROWS];

/// Rows of a matrix, or places of them that follow each other.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    pub values: &'a [f32],
    /// From the beginning of one to that of the next.
    pub stride: usize,
}

impl Lines<'_> {
    fn behind(&self, row: usize) -> Self {
        Self { values: &self.values[row * self.stride..], stride: self.stride }
    }
}

/// The instructions that a kernel is built for. A value of a type other than `Portable` promises that the CPU has them.
pub trait Build {
    /// Rows whose sums fit into the registers, at most [`ROWS`].
    const TOGETHER: usize;

    /// Goes on with the sums of `rows` rows (at most `TOGETHER`) of `a` over a block of `b`, whose line for place k begins at
    /// `starts[k]`.
    fn block(rows: usize, a: Lines, b: &[f32], starts: &[u32], sums: &mut Sums);

    /// Runs plain code built for these instructions.
    fn plain<R>(work: impl FnOnce() -> R) -> R;
}

pub struct Portable;
pub struct Avx2;
pub struct Avx512;

#[inline(always)]
fn sums<const R: usize>(a: Lines, b: &[f32], starts: &[u32], sums: &mut Sums) {
    let mut local: [[f32; COLUMNS]; R] = std::array::from_fn(|row| sums[row]);
    let rows: [&[f32]; R] = std::array::from_fn(|row| &a.values[row * a.stride..][..starts.len()]);
    for (k, &start) in starts.iter().enumerate() {
        let Some(line) = b.get(start as usize..).and_then(|rest| rest.first_chunk::<COLUMNS>()) else { return };
        for (row, local) in rows.iter().zip(local.iter_mut()) {
            let x = row[k];
            for (sum, &value) in local.iter_mut().zip(line) {
                *sum = x.mul_add(value, *sum);
            }
        }
    }
    sums[..R].copy_from_slice(&local);
}

#[inline(always)]
fn any(rows: usize, a: Lines, b: &[f32], starts: &[u32], out: &mut Sums) {
    match rows {
        1 => sums::<1>(a, b, starts, out),
        2 => sums::<2>(a, b, starts, out),
        3 => sums::<3>(a, b, starts, out),
        4 => sums::<4>(a, b, starts, out),
        5 => sums::<5>(a, b, starts, out),
        6 => sums::<6>(a, b, starts, out),
        7 => sums::<7>(a, b, starts, out),
        _ => sums::<8>(a, b, starts, out),
    }
}

impl Build for Portable {
    const TOGETHER: usize = 4;

    fn block(rows: usize, a: Lines, b: &[f32], starts: &[u32], sums: &mut Sums) {
        any(rows, a, b, starts, sums);
    }

    fn plain<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn any_avx2(rows: usize, a: Lines, b: &[f32], starts: &[u32], out: &mut Sums) {
    any(rows, a, b, starts, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn plain_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn any_avx512(rows: usize, a: Lines, b: &[f32], starts: &[u32], out: &mut Sums) {
    any(rows, a, b, starts, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn plain_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

impl Build for Avx2 {
    const TOGETHER: usize = 3;

    fn block(rows: usize, a: Lines, b: &[f32], starts: &[u32], sums: &mut Sums) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `pick` gives this build only for a level that detection found AVX2 and FMA for.
        unsafe {
            any_avx2(rows, a, b, starts, sums);
        }
        #[cfg(not(target_arch = "x86_64"))]
        any(rows, a, b, starts, sums);
    }

    fn plain<R>(work: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        unsafe {
            plain_avx2(work)
        }
        #[cfg(not(target_arch = "x86_64"))]
        work()
    }
}

impl Build for Avx512 {
    const TOGETHER: usize = 8;

    fn block(rows: usize, a: Lines, b: &[f32], starts: &[u32], sums: &mut Sums) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `pick` gives this build only for a level that detection found these parts of AVX-512 for.
        unsafe {
            any_avx512(rows, a, b, starts, sums);
        }
        #[cfg(not(target_arch = "x86_64"))]
        any(rows, a, b, starts, sums);
    }

    fn plain<R>(work: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        unsafe {
            plain_avx512(work)
        }
        #[cfg(not(target_arch = "x86_64"))]
        work()
    }
}

/// Where the sums of a row and a block begin, and where they are put.
pub trait Places {
    /// What an earlier part of the sums came to; without one, they begin at +0.
    fn begin(&mut self, row: usize, sums: &mut [f32; COLUMNS]);
    fn give(&mut self, row: usize, sums: &[f32; COLUMNS]);
}

/// Whole sums, told with their rows.
pub struct Whole<F>(pub F);

impl<F: FnMut(usize, &[f32; COLUMNS])> Places for Whole<F> {
    fn begin(&mut self, _: usize, sums: &mut [f32; COLUMNS]) {
        sums.fill(0.0);
    }

    fn give(&mut self, row: usize, sums: &[f32; COLUMNS]) {
        (self.0)(row, sums);
    }
}

/// Columns of rows that a tile alone has.
pub struct Tile<'c, 'a> {
    cut: &'c Cut<'a, f32>,
    /// The first number, from one row to the next, and columns of them.
    first: usize,
    stride: usize,
    width: usize,
    goes_on: bool,
}

impl<'c, 'a> Tile<'c, 'a> {
    /// # Safety
    /// While it lives nobody else has these columns of these rows.
    pub unsafe fn new(cut: &'c Cut<'a, f32>, first: usize, stride: usize, width: usize) -> Self {
        Self { cut, first, stride, width, goes_on: false }
    }

    /// Computes a block of columns over `inner` places, of which a few are copied side by side at a time: `fill` writes the lines from
    /// a place on. A sum that is put down and taken up again is the same chain.
    pub fn fill<B: Build>(
        mut self,
        (a, rows, inner): (Lines, usize, usize),
        fill: impl Fn(usize, &mut [[f32; COLUMNS]]),
    ) {
        let most = inner.min(PLACES);
        let starts: Vec<u32> = (0..most).map(|k| (k * COLUMNS) as u32).collect();
        let mut panel = vec![[0.0; COLUMNS]; most];
        for from in (0..inner.max(1)).step_by(PLACES) {
            let count = PLACES.min(inner - from);
            let lines = &mut panel[..count];
            fill(from, lines);
            let a = Lines { values: &a.values[from..], stride: a.stride };
            columns::<B>(a, rows, lines.as_flattened(), &starts[..count], &mut self);
            self.goes_on = true;
        }
    }

    fn row(&mut self, row: usize) -> &mut [f32] {
        // SAFETY: `new` was promised that nobody else has them.
        unsafe { self.cut.part(self.first + row * self.stride, self.width) }
    }
}

impl Places for Tile<'_, '_> {
    fn begin(&mut self, row: usize, sums: &mut [f32; COLUMNS]) {
        sums.fill(0.0);
        if self.goes_on {
            sums[..self.width].copy_from_slice(self.row(row));
        }
    }

    fn give(&mut self, row: usize, sums: &[f32; COLUMNS]) {
        let width = self.width;
        self.row(row).copy_from_slice(&sums[..width]);
    }
}

/// Computes one block of columns for all rows of `a`, over as many places as there are `starts`.
pub fn columns<B: Build>(a: Lines, rows: usize, b: &[f32], starts: &[u32], places: &mut impl Places) {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for row in (0..rows).step_by(B::TOGETHER) {
        let count = B::TOGETHER.min(rows - row);
        sums.iter_mut().take(count).enumerate().for_each(|(place, sums)| places.begin(row + place, sums));
        B::block(count, a.behind(row), b, starts, &mut sums);
        sums.iter().take(count).enumerate().for_each(|(place, sums)| places.give(row + place, sums));
    }
}

/// How many of `rows` rows make a tile over a block of columns with sums of `inner` places, where there are `blocks` blocks.
pub fn rows_of_tile(crew: &dyn Crew, rows: usize, inner: usize, blocks: usize) -> usize {
    let most = TILE / (inner * COLUMNS).max(1);
    let tiles = crew.count() * 4;
    let shared = if crew.count() == 1 || blocks >= tiles { rows } else { rows.div_ceil(tiles.div_ceil(blocks.max(1))) };
    (shared.min(most).div_ceil(PART) * PART).max(2 * PART).min(rows).max(1)
}

/// Calls once for every number below `count`, each of which costs `multiplications`.
pub fn tiles(crew: &dyn Crew, count: usize, multiplications: usize, each: impl Fn(usize) + Sync) {
    crew.rows(&mut vec![(); count], 1, multiplications / FAST, |first, tiles| {
        (first..first + tiles.len()).for_each(&each);
    });
}

/// One product of matrices of so many rows, inner places and columns.
pub fn product<B: Build>(
    crew: &dyn Crew,
    (a, b): (&[f32], &[f32]),
    [rows, inner, columns_all]: [usize; 3],
    out: &mut [f32],
) {
    let blocks = columns_all.div_ceil(COLUMNS);
    let together = rows_of_tile(crew, rows, inner, blocks);
    // Few rows read a block once: then copying it first would cost more than it saves.
    let is_few = columns_all >= COLUMNS && (rows < 2 * B::TOGETHER || rows % together > 0);
    let own: Vec<u32> = if is_few { (0..inner).map(|k| (k * columns_all) as u32).collect() } else { Vec::new() };
    let cut = Cut::new(out, 1);
    tiles(crew, blocks * rows.div_ceil(together), together * inner * COLUMNS, |tile| {
        let (first, from) = (tile / blocks * together, tile % blocks * COLUMNS);
        let (count, width) = (together.min(rows - first), COLUMNS.min(columns_all - from));
        // SAFETY: each tile is in one hand, and no two tiles have a row and a column in common.
        let mut tile = unsafe { Tile::new(&cut, first * columns_all + from, columns_all, width) };
        let a = Lines { values: &a[first * inner..], stride: inner };
        if is_few && width == COLUMNS && count < 2 * B::TOGETHER {
            return columns::<B>(a, count, &b[from.min(b.len())..], &own, &mut tile);
        }
        tile.fill::<B>((a, count, inner), |place, lines| {
            for (k, line) in (place..).zip(lines) {
                line[..width].copy_from_slice(&b[k * columns_all + from..][..width]);
            }
        });
    });
}
