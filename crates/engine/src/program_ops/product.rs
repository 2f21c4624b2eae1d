//! Matrix products in binary32: `c[i, j]` = chain by fma from +0 over k of `a[i, k]·b[k, j]`.
//!
//! A block of columns is computed at once, lane by lane, so that every chain is that of the meaning. The inner loop is plain
//! code, built for each level's instructions.

/// Columns of a block.
pub const COLUMNS: usize = 32;
/// Rows that share the loads of a block.
const ROWS: usize = 4;

/// The instructions that a kernel is built for. A value of a type other than `Portable` promises that the CPU has them.
pub trait Build {
    /// The sums of `rows` rows (at most 4) of `a` over a block of `b`, whose lines lie `stride` apart.
    fn block(rows: usize, a: &[f32], inner: usize, b: &[f32], stride: usize, sums: &mut [[f32; COLUMNS]; ROWS]);
}

pub struct Portable;
pub struct Avx2;
pub struct Avx512;

#[inline(always)]
fn sums<const R: usize>(a: &[f32], inner: usize, b: &[f32], stride: usize, sums: &mut [[f32; COLUMNS]; ROWS]) {
    let mut local = [[0.0_f32; COLUMNS]; R];
    for k in 0..inner {
        let Some(line) = b.get(k * stride..).and_then(|rest| rest.first_chunk::<COLUMNS>()) else { return };
        for (row, local) in local.iter_mut().enumerate() {
            let x = a[row * inner + k];
            for (sum, &value) in local.iter_mut().zip(line) {
                *sum = x.mul_add(value, *sum);
            }
        }
    }
    sums[..R].copy_from_slice(&local);
}

#[inline(always)]
fn any(rows: usize, a: &[f32], inner: usize, b: &[f32], stride: usize, out: &mut [[f32; COLUMNS]; ROWS]) {
    match rows {
        1 => sums::<1>(a, inner, b, stride, out),
        2 => sums::<2>(a, inner, b, stride, out),
        3 => sums::<3>(a, inner, b, stride, out),
        _ => sums::<4>(a, inner, b, stride, out),
    }
}

impl Build for Portable {
    fn block(rows: usize, a: &[f32], inner: usize, b: &[f32], stride: usize, sums: &mut [[f32; COLUMNS]; ROWS]) {
        any(rows, a, inner, b, stride, sums);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn any_avx2(rows: usize, a: &[f32], inner: usize, b: &[f32], stride: usize, out: &mut [[f32; COLUMNS]; ROWS]) {
    any(rows, a, inner, b, stride, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn any_avx512(rows: usize, a: &[f32], inner: usize, b: &[f32], stride: usize, out: &mut [[f32; COLUMNS]; ROWS]) {
    any(rows, a, inner, b, stride, out);
}

impl Build for Avx2 {
    fn block(rows: usize, a: &[f32], inner: usize, b: &[f32], stride: usize, sums: &mut [[f32; COLUMNS]; ROWS]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `pick` gives this build only for a level that detection found AVX2 and FMA for.
        unsafe {
            any_avx2(rows, a, inner, b, stride, sums);
        }
        #[cfg(not(target_arch = "x86_64"))]
        any(rows, a, inner, b, stride, sums);
    }
}

impl Build for Avx512 {
    fn block(rows: usize, a: &[f32], inner: usize, b: &[f32], stride: usize, sums: &mut [[f32; COLUMNS]; ROWS]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `pick` gives this build only for a level that detection found these parts of AVX-512 for.
        unsafe {
            any_avx512(rows, a, inner, b, stride, sums);
        }
        #[cfg(not(target_arch = "x86_64"))]
        any(rows, a, inner, b, stride, sums);
    }
}

/// Computes one block of columns for all rows: `width` of them (at most [`COLUMNS`]) go to `out`, whose rows lie `columns` apart.
pub fn columns<B: Build>(
    a: &[f32],
    (rows, inner): (usize, usize),
    (b, stride): (&[f32], usize),
    (out, columns, width): (&mut [f32], usize, usize),
) {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for row in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - row);
        B::block(count, &a[row * inner..], inner, b, stride, &mut sums);
        for (place, sums) in sums.iter().take(count).enumerate() {
            out[(row + place) * columns..][..width].copy_from_slice(&sums[..width]);
        }
    }
}

/// One product of matrices.
pub fn product<B: Build>(a: &[f32], b: &[f32], rows: usize, inner: usize, columns_all: usize, out: &mut [f32]) {
    let mut panel = Vec::new();
    for from in (0..columns_all).step_by(COLUMNS) {
        let width = COLUMNS.min(columns_all - from);
        let into = |out| (out, columns_all, width);
        // Few rows read a block once: then copying it first would cost more than it saves.
        if width == COLUMNS && rows < 2 * ROWS {
            columns::<B>(a, (rows, inner), (&b[from.min(b.len())..], columns_all), into(&mut out[from..]));
            continue;
        }
        panel.clear();
        panel.resize(inner * COLUMNS, 0.0);
        for (k, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
            line[..width].copy_from_slice(&b[k * columns_all + from..][..width]);
        }
        columns::<B>(a, (rows, inner), (&panel, COLUMNS), into(&mut out[from..]));
    }
}
