//! Matrix products in binary32: `c[i, j]` = chain by fma from +0 over k of `a[i, k]·b[k, j]`.
//!
//! A block of columns is computed at once, lane by lane, so that every chain is that of the meaning. The inner loop is plain
//! code, built for each level's instructions.

/// Columns of a block.
pub const COLUMNS: usize = 32;
/// Most rows that share the loads of a block.
pub const ROWS: usize = 8;

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

/// One product of matrices.
pub fn product<B: Build>(a: &[f32], b: &[f32], rows: usize, inner: usize, columns_all: usize, out: &mut [f32]) {
    let lines = |stride: usize| -> Vec<u32> { (0..inner).map(|k| (k * stride) as u32).collect() };
    let (own, packed) = (lines(columns_all), lines(COLUMNS));
    let mut panel = Vec::new();
    for from in (0..columns_all).step_by(COLUMNS) {
        let width = COLUMNS.min(columns_all - from);
        let give = |row: usize, sums: &[f32; COLUMNS]| {
            out[row * columns_all + from..][..width].copy_from_slice(&sums[..width])
        };
        // Few rows read a block once: then copying it first would cost more than it saves.
        if width == COLUMNS && rows < 2 * B::TOGETHER {
            columns::<B>(a, rows, &b[from.min(b.len())..], &own, give);
            continue;
        }
        panel.clear();
        panel.resize(inner * COLUMNS, 0.0);
        for (k, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
            line[..width].copy_from_slice(&b[k * columns_all + from..][..width]);
        }
        columns::<B>(a, rows, &panel, &packed, give);
    }
}
