//! Sums of products of i16, two columns at a time, many side by side: what attention over integers is made of.
//!
//! Integers: no order changes a bit, as long as no sum leaves i32, which callers see to.

use crate::{
    cpu::Level,
    simd::{Plain, by_level},
};

/// For each query and each column: `out += Σ factor[k] · table[k][column]`. The factors of a query and the rows of the table
/// come in pairs: `[count / 2][columns][2]`.
pub struct PairSums<'a> {
    pub table: &'a [i16],
    /// A multiple of 16, also the numbers from one pair of rows to the next, halved.
    pub columns: usize,
    /// Pairs of rows.
    pub count: usize,
    pub factors: &'a [i16],
    /// Where each query's factors and its results begin.
    pub queries: &'a [(usize, usize)],
}

impl PairSums<'_> {
    pub fn run(&self, level: Level, out: &mut [i32]) {
        let sums = self;
        assert!(self.columns.is_multiple_of(16) && self.count * self.columns * 2 <= self.table.len());
        for &(from, to) in self.queries {
            assert!(from + self.count * 2 <= self.factors.len() && to + self.columns <= out.len());
        }
        // SAFETY: the level was detected; the asserts bound everything that is read and written.
        unsafe { by_level!(level, all(sums: &PairSums, out: &mut [i32])) }
    }
}

/// Vectors of 32-bit sums of one level.
///
/// # Safety
/// Every method may be called only where the CPU has the level's instructions; pointers are valid for `LANES` numbers of
/// 32 bits and need no alignment.
trait Dots {
    type Sums: Copy;
    const LANES: usize;
    unsafe fn splat(pair: i32) -> Self::Sums;
    unsafe fn load(from: *const i32) -> Self::Sums;
    unsafe fn store(sums: Self::Sums, to: *mut i32);
    /// In each lane: the sum and the two products of the pairs.
    unsafe fn dot(sums: Self::Sums, one: Self::Sums, other: Self::Sums) -> Self::Sums;
}

impl Dots for Plain {
    type Sums = [i32; 8];
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn splat(pair: i32) -> [i32; 8] {
        [pair; 8]
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
    unsafe fn dot(mut sums: [i32; 8], one: [i32; 8], other: [i32; 8]) -> [i32; 8] {
        for lane in 0..8 {
            let (low, high) = (one[lane] as i16, (one[lane] >> 16) as i16);
            let (other_low, other_high) = (other[lane] as i16, (other[lane] >> 16) as i16);
            let products = i32::from(low) * i32::from(other_low) + i32::from(high) * i32::from(other_high);
            sums[lane] = sums[lane].wrapping_add(products);
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
        unsafe fn splat(pair: i32) -> __m256i {
            // SAFETY: as the trait demands.
            unsafe { _mm256_set1_epi32(pair) }
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
        unsafe fn dot(sums: __m256i, one: __m256i, other: __m256i) -> __m256i {
            // SAFETY: as the trait demands.
            unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(one, other)) }
        }
    }

    impl Dots for Avx512 {
        type Sums = __m512i;
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn splat(pair: i32) -> __m512i {
            // SAFETY: as the trait demands.
            unsafe { _mm512_set1_epi32(pair) }
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
        #[inline(always)]
        unsafe fn dot(sums: __m512i, one: __m512i, other: __m512i) -> __m512i {
            // SAFETY: as the trait demands.
            unsafe { _mm512_dpwssd_epi32(sums, one, other) }
        }
    }
}

/// # Safety
/// As the methods of `V`, within the bounds that `PairSums::run` asserts.
#[inline(always)]
unsafe fn all<V: Dots>(work: &PairSums, out: &mut [i32]) {
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
unsafe fn block<V: Dots, const Q: usize>(work: &PairSums, queries: &[(usize, usize)], out: *mut i32) -> usize {
    let mut column = 0;
    while column < work.columns {
        let left = work.columns - column;
        // SAFETY: as the caller promises.
        unsafe {
            column += match V::LANES {
                16 if left >= 64 => tile::<V, Q, 4>(work, queries, out, column),
                16 => tile::<V, Q, 1>(work, queries, out, column),
                _ => tile::<V, Q, 2>(work, queries, out, column),
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
    work: &PairSums,
    queries: &[(usize, usize)],
    out: *mut i32,
    column: usize,
) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        let mut factors = [work.factors.as_ptr(); Q];
        let mut results = [out; Q];
        let mut sums = [[V::splat(0); N]; Q];
        for query in 0..Q {
            factors[query] = factors[query].add(queries[query].0);
            results[query] = results[query].add(queries[query].1 + column);
            for side in 0..N {
                sums[query][side] = V::load(results[query].add(side * V::LANES));
            }
        }
        let mut row = work.table.as_ptr().cast::<i32>().wrapping_add(column);
        for pair in 0..work.count {
            let mut values = [V::splat(0); N];
            for side in 0..N {
                values[side] = V::load(row.add(side * V::LANES));
            }
            for query in 0..Q {
                let factor = V::splat(factors[query].cast::<i32>().add(pair).read_unaligned());
                for side in 0..N {
                    sums[query][side] = V::dot(sums[query][side], factor, values[side]);
                }
            }
            row = row.wrapping_add(work.columns);
        }
        for query in 0..Q {
            for side in 0..N {
                V::store(sums[query][side], results[query].add(side * V::LANES));
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
        fn every_level_has_the_sums_of_the_plain_loop(
            queries in 1_usize..12, blocks in 1_usize..10, count in 0_usize..20, seed: u64,
        ) {
            let mut state = seed | 1;
            let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state >> 20) as i16 >> 3 };
            let columns = blocks * 16;
            let table: Vec<i16> = (0..(count + 1) * columns * 2).map(|_| next()).collect();
            let factors: Vec<i16> = (0..queries * 50).map(|_| next()).collect();
            let places: Vec<(usize, usize)> = (0..queries).map(|query| (query * 50 + 3, (queries - 1 - query) * columns)).collect();
            let start: Vec<i32> = (0..queries * columns).map(|_| next().into()).collect();
            let mut expected = start.clone();
            for (from, to) in &places {
                for k in 0..count * 2 {
                    for column in 0..columns {
                        let value = table[(k / 2 * columns + column) * 2 + k % 2];
                        expected[to + column] += i32::from(factors[from + k]) * i32::from(value);
                    }
                }
            }
            for level in Level::available() {
                let mut out = start.clone();
                PairSums { table: &table, columns, count, factors: &factors, queries: &places }.run(level, &mut out);
                prop_assert!(out == expected, "{}", level.name());
            }
        }
    }
}
