//! Dots of bytes, four columns at a time, many positions side by side: the scores of attention over keys of bytes.
//!
//! Integers: no order changes a bit, as long as no sum leaves i32, which the widest head sees to.

use crate::{
    cpu::Level,
    simd::{Plain, by_level},
};

/// For each query and each column: `out = Σ factor[k] · table[k][column]`. The factors of a query and the rows of the table
/// come in fours: `[count][columns][4]`. No byte is -128.
pub struct QuadDots<'a> {
    pub table: &'a [i8],
    /// A multiple of 16.
    pub columns: usize,
    /// Fours of rows.
    pub count: usize,
    pub factors: &'a [i8],
    /// Where each query's factors and its results begin.
    pub queries: &'a [(usize, usize)],
}

impl QuadDots<'_> {
    pub fn run(&self, level: Level, out: &mut [i32]) {
        let dots = self;
        assert!(self.columns.is_multiple_of(16) && self.count * self.columns * 4 <= self.table.len());
        for &(from, to) in self.queries {
            assert!(from + self.count * 4 <= self.factors.len() && to + self.columns <= out.len());
        }
        // SAFETY: the level was detected; the asserts bound everything that is read and written.
        unsafe { by_level!(level, all(dots: &QuadDots, out: &mut [i32])) }
    }
}

/// Vectors of 32-bit sums of one level.
///
/// # Safety
/// Every method may be called only where the CPU has the level's instructions; pointers are valid for `LANES` numbers of
/// 32 bits and need no alignment. No byte is -128.
trait Dots {
    type Sums: Copy;
    const LANES: usize;
    unsafe fn splat(quad: i32) -> Self::Sums;
    unsafe fn load(from: *const i32) -> Self::Sums;
    unsafe fn store(sums: Self::Sums, to: *mut i32);
    /// Where sums begin whose factors add up to `total`.
    unsafe fn start(total: i32) -> Self::Sums;
    /// Bytes of the table as `dot` takes them.
    unsafe fn table(bytes: Self::Sums) -> Self::Sums;
    /// In each lane: the sum and the four products.
    unsafe fn dot(sums: Self::Sums, table: Self::Sums, factor: Self::Sums) -> Self::Sums;
}

impl Dots for Plain {
    type Sums = [i32; 8];
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn splat(quad: i32) -> [i32; 8] {
        [quad; 8]
    }
    #[inline(always)]
    unsafe fn load(from: *const i32) -> [i32; 8] {
        // SAFETY: as the trait demands.
        unsafe { from.cast::<[i32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(sums: [i32; 8], to: *mut i32) {
        // SAFETY: as the trait demands.
        unsafe { to.cast::<[i32; 8]>().write_unaligned(sums) }
    }
    #[inline(always)]
    unsafe fn start(_: i32) -> [i32; 8] {
        [0; 8]
    }
    #[inline(always)]
    unsafe fn table(bytes: [i32; 8]) -> [i32; 8] {
        bytes
    }
    #[inline(always)]
    unsafe fn dot(mut sums: [i32; 8], table: [i32; 8], factor: [i32; 8]) -> [i32; 8] {
        for lane in 0..8 {
            let (one, other) = (table[lane].to_ne_bytes(), factor[lane].to_ne_bytes());
            let products = one
                .into_iter()
                .zip(other)
                .map(|(one, other)| i32::from(one.cast_signed()) * i32::from(other.cast_signed()));
            sums[lane] += products.sum::<i32>();
        }
        sums
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::Dots;
    use crate::simd::{Avx2, Avx512};

    impl Dots for Avx2 {
        type Sums = __m256i;
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn splat(quad: i32) -> __m256i {
            // SAFETY: as the trait demands.
            unsafe { _mm256_set1_epi32(quad) }
        }
        #[inline(always)]
        unsafe fn load(from: *const i32) -> __m256i {
            // SAFETY: as the trait demands.
            unsafe { _mm256_loadu_si256(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(sums: __m256i, to: *mut i32) {
            // SAFETY: as the trait demands.
            unsafe { _mm256_storeu_si256(to.cast(), sums) }
        }
        #[inline(always)]
        unsafe fn start(_: i32) -> __m256i {
            // SAFETY: as the trait demands.
            unsafe { _mm256_setzero_si256() }
        }
        #[inline(always)]
        unsafe fn table(bytes: __m256i) -> __m256i {
            bytes
        }
        /// The factors take the table's signs; two products are at most 2 · 127², which i16 holds.
        #[inline(always)]
        unsafe fn dot(sums: __m256i, table: __m256i, factor: __m256i) -> __m256i {
            // SAFETY: as the trait demands.
            unsafe {
                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(table), _mm256_sign_epi8(factor, table));
                _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            }
        }
    }

    impl Dots for Avx512 {
        type Sums = __m512i;
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn splat(quad: i32) -> __m512i {
            // SAFETY: as the trait demands.
            unsafe { _mm512_set1_epi32(quad) }
        }
        #[inline(always)]
        unsafe fn load(from: *const i32) -> __m512i {
            // SAFETY: as the trait demands.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(sums: __m512i, to: *mut i32) {
            // SAFETY: as the trait demands.
            unsafe { _mm512_storeu_si512(to.cast(), sums) }
        }
        /// The table's bytes count 128 too many.
        #[inline(always)]
        unsafe fn start(total: i32) -> __m512i {
            // SAFETY: as the trait demands.
            unsafe { _mm512_set1_epi32(-128 * total) }
        }
        #[inline(always)]
        unsafe fn table(bytes: __m512i) -> __m512i {
            // SAFETY: as the trait demands.
            unsafe { _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)) }
        }
        #[inline(always)]
        unsafe fn dot(sums: __m512i, table: __m512i, factor: __m512i) -> __m512i {
            // SAFETY: as the trait demands.
            unsafe { _mm512_dpbusd_epi32(sums, table, factor) }
        }
    }
}

/// # Safety
/// As the methods of `V`, within the bounds that `QuadDots::run` asserts.
#[inline(always)]
unsafe fn all<V: Dots>(work: &QuadDots, out: &mut [i32]) {
    let mut queries = work.queries;
    while !queries.is_empty() {
        // SAFETY: as the caller promises.
        let done = unsafe {
            match queries.len() {
                1 => block::<V, 1>(work, queries, out.as_mut_ptr()),
                2 | 3 => block::<V, 2>(work, queries, out.as_mut_ptr()),
                _ => block::<V, 4>(work, queries, out.as_mut_ptr()),
            }
        };
        queries = &queries[done..];
    }
}

/// # Safety
/// As `all`, and there are so many queries.
#[inline(always)]
unsafe fn block<V: Dots, const Q: usize>(work: &QuadDots, queries: &[(usize, usize)], out: *mut i32) -> usize {
    let mut starts = [0; Q];
    for (start, (from, _)) in starts.iter_mut().zip(queries) {
        *start = work.factors[*from..][..work.count * 4].iter().map(|&factor| i32::from(factor)).sum();
    }
    let mut column = 0;
    while column < work.columns {
        let left = work.columns - column;
        // SAFETY: as the caller promises.
        unsafe {
            column += match V::LANES {
                16 if left >= 64 => tile::<V, Q, 4>(work, queries, &starts, out, column),
                16 => tile::<V, Q, 1>(work, queries, &starts, out, column),
                _ => tile::<V, Q, 2>(work, queries, &starts, out, column),
            }
        }
    }
    Q
}

/// `Q` queries and `N` vectors of columns; says how many columns these are.
///
/// # Safety
/// As `block`, and there are so many columns.
#[allow(clippy::needless_range_loop, reason = "three arrays in step, each a register a place")]
#[inline(always)]
unsafe fn tile<V: Dots, const Q: usize, const N: usize>(
    work: &QuadDots,
    queries: &[(usize, usize)],
    starts: &[i32; Q],
    out: *mut i32,
    column: usize,
) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        let mut factors = [work.factors.as_ptr(); Q];
        let mut sums = [[V::start(0); N]; Q];
        for query in 0..Q {
            factors[query] = factors[query].add(queries[query].0);
            sums[query] = [V::start(starts[query]); N];
        }
        let mut row = work.table.as_ptr().cast::<i32>().wrapping_add(column);
        for quad in 0..work.count {
            let mut values = [V::splat(0); N];
            for side in 0..N {
                values[side] = V::table(V::load(row.add(side * V::LANES)));
            }
            for query in 0..Q {
                let factor = V::splat(factors[query].cast::<i32>().add(quad).read_unaligned());
                for side in 0..N {
                    sums[query][side] = V::dot(sums[query][side], values[side], factor);
                }
            }
            row = row.wrapping_add(work.columns);
        }
        for query in 0..Q {
            for side in 0..N {
                V::store(sums[query][side], out.add(queries[query].1 + column + side * V::LANES));
            }
        }
    }
    N * V::LANES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_level_has_the_dots_of_the_plain_loop(
            queries in 1_usize..12, blocks in 1_usize..10, count in 0_usize..20, extreme: bool, seed: u64,
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let byte = ((state >> 20) as i8).max(-127);
                // All products at their greatest, with either sign.
                if extreme { if byte < 0 { -127 } else { 127 } } else { byte }
            };
            let columns = blocks * 16;
            let table: Vec<i8> = (0..(count + 1) * columns * 4).map(|_| next()).collect();
            let factors: Vec<i8> = (0..queries * 90).map(|_| next()).collect();
            let places: Vec<(usize, usize)> = (0..queries).map(|query| (query * 90 + 3, (queries - 1 - query) * columns)).collect();
            let mut expected = vec![0; queries * columns];
            for (from, to) in &places {
                for k in 0..count * 4 {
                    for column in 0..columns {
                        let value = table[(k / 4 * columns + column) * 4 + k % 4];
                        expected[to + column] += i32::from(factors[from + k]) * i32::from(value);
                    }
                }
            }
            for level in Level::available() {
                let mut out = vec![7; queries * columns];
                QuadDots { table: &table, columns, count, factors: &factors, queries: &places }.run(level, &mut out);
                prop_assert!(out == expected, "{}", level.name());
            }
        }
    }
}
