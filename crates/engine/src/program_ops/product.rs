//! Matrix products in binary32: `c[i, j]` = chain by fma from +0 over k of `a[i, k]·b[k, j]`.
//!
//! A block of columns is computed at once, lane by lane, so that every chain is that of the meaning. The inner loop is plain
//! code, built for each level's instructions. A product is cut into tiles of rows and columns, which hands share.

use graph::program::Crew;

use crate::threads::Cut;

/// Columns of a block.
pub const COLUMNS: usize = 32;
/// Most rows that share the loads of a block.
pub const ROWS: usize = 8;

/// Multiplications of a tile, at most: a millisecond or two.
const TILE: usize = 1 << 22;
/// A part of a tile's rows is a multiple of every level's rows that share loads, and not so small that copying a block for it would count.
const PART: usize = 24;
/// How many of these multiplications cost as much as one operation of the accounts is taken for.
pub const FAST: usize = 8;

/// Sums of a block, a line a row.
pub type Sums = [[f32; COLUMNS]; ROWS];

/// The instructions that a kernel is built for. A value of a type other than `Portable` promises that the CPU has them.
pub trait Build {
    /// Rows whose sums fit into the registers, at most [`ROWS`].
    const TOGETHER: usize;

    /// The sums of `rows` rows (at most `TOGETHER`) of `a` over a block of `b`, whose line for place k begins at `starts[k]`.
    fn block(rows: usize, a: &[f32], b: &[f32], starts: &[u32], sums: &mut Sums);

    /// Runs plain code built for these instructions.
    fn plain<R>(work: impl FnOnce() -> R) -> R;
}

pub struct Portable;
pub struct Avx2;
pub struct Avx512;

#[inline(always)]
fn sums<const R: usize>(a: &[f32], b: &[f32], starts: &[u32], sums: &mut Sums) {
    let inner = starts.len();
    let mut local = [[0.0_f32; COLUMNS]; R];
    let rows: [&[f32]; R] = std::array::from_fn(|row| &a[row * inner..][..inner]);
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
fn any(rows: usize, a: &[f32], b: &[f32], starts: &[u32], out: &mut Sums) {
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

    fn block(rows: usize, a: &[f32], b: &[f32], starts: &[u32], sums: &mut Sums) {
        any(rows, a, b, starts, sums);
    }

    fn plain<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn any_avx2(rows: usize, a: &[f32], b: &[f32], starts: &[u32], out: &mut Sums) {
    any(rows, a, b, starts, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn plain_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn any_avx512(rows: usize, a: &[f32], b: &[f32], starts: &[u32], out: &mut Sums) {
    any(rows, a, b, starts, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn plain_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

impl Build for Avx2 {
    const TOGETHER: usize = 3;

    fn block(rows: usize, a: &[f32], b: &[f32], starts: &[u32], sums: &mut Sums) {
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

    fn block(rows: usize, a: &[f32], b: &[f32], starts: &[u32], sums: &mut Sums) {
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

/// Computes one block of columns for all rows of `a`, each as long as `starts`; `give` is told each row and its sums.
pub fn columns<B: Build>(
    a: &[f32],
    rows: usize,
    b: &[f32],
    starts: &[u32],
    mut give: impl FnMut(usize, &[f32; COLUMNS]),
) {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for row in (0..rows).step_by(B::TOGETHER) {
        let count = B::TOGETHER.min(rows - row);
        B::block(count, &a[row * starts.len()..], b, starts, &mut sums);
        sums.iter().take(count).enumerate().for_each(|(place, sums)| give(row + place, sums));
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
    let lines = |stride: usize| -> Vec<u32> { (0..inner).map(|k| (k * stride) as u32).collect() };
    let (own, packed) = (lines(columns_all), lines(COLUMNS));
    let blocks = columns_all.div_ceil(COLUMNS);
    let together = rows_of_tile(crew, rows, inner, blocks);
    let cut = Cut::new(out, 1);
    tiles(crew, blocks * rows.div_ceil(together), together * inner * COLUMNS, |tile| {
        let (first, from) = (tile / blocks * together, tile % blocks * COLUMNS);
        let (count, width) = (together.min(rows - first), COLUMNS.min(columns_all - from));
        let give = |row: usize, sums: &[f32; COLUMNS]| {
            // SAFETY: each tile is in one hand, and no two tiles have a row and a column in common.
            let out = unsafe { cut.part((first + row) * columns_all + from, width) };
            out.copy_from_slice(&sums[..width]);
        };
        let a = &a[first * inner..];
        // Few rows read a block once: then copying it first would cost more than it saves.
        if width == COLUMNS && count < 2 * B::TOGETHER {
            return columns::<B>(a, count, &b[from.min(b.len())..], &own, give);
        }
        let mut panel = vec![0.0; inner * COLUMNS];
        for (k, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
            line[..width].copy_from_slice(&b[k * columns_all + from..][..width]);
        }
        columns::<B>(a, count, &panel, &packed, give);
    });
}
