//! Chains of fused multiply-adds, many side by side: what attention in binary32 is made of.
//!
//! Each result is one chain in its own order, whoever computes it, so how the work is cut changes no bit.

use crate::{
    cpu::{Level, versions},
    simd::{Vector, by_level},
};

/// Results come in multiples of so many columns.
pub const COLUMNS: usize = 16;

/// Rows of columns that lie side by side.
#[derive(Clone, Copy)]
pub enum Table<'a> {
    Floats(&'a [f32]),
    Halves(&'a [u16]),
    Bytes(&'a [i8]),
}

impl Table<'_> {
    /// The table from a number on.
    pub fn behind(&self, start: usize) -> Self {
        match self {
            Self::Floats(table) => Self::Floats(&table[start..]),
            Self::Halves(table) => Self::Halves(&table[start..]),
            Self::Bytes(table) => Self::Bytes(&table[start..]),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Floats(table) => table.len(),
            Self::Halves(table) => table.len(),
            Self::Bytes(table) => table.len(),
        }
    }
}

/// For each query and each column: `out = (out + Σ factor[k] · table[k][column]) · scale`, a chain over k of fused
/// multiply-adds that begins at `out`, or at 0 where it is `fresh`.
pub struct Chains<'a> {
    pub table: Table<'a>,
    /// From one row of the table to the next.
    pub stride: usize,
    pub columns: usize,
    /// Rows of the table, and factors of each query.
    pub count: usize,
    pub factors: &'a [f32],
    /// Where each query's factors and its results begin.
    pub queries: &'a [(usize, usize)],
    pub scale: f32,
    pub fresh: bool,
}

impl Chains<'_> {
    pub fn run(&self, level: Level, out: &mut [f32]) {
        let (chains, rows) = (self, self.count.max(1) - 1);
        assert!(self.columns.is_multiple_of(COLUMNS) && rows * self.stride + self.columns <= self.table.len());
        for &(from, to) in self.queries {
            assert!(from + self.count <= self.factors.len() && to + self.columns <= out.len());
        }
        // SAFETY: the level was detected; the asserts bound everything that is read and written.
        unsafe { by_level!(level, all(chains: &Chains, out: &mut [f32])) }
    }
}

/// Numbers of a table as they are stored.
trait Stored: Copy {
    /// # Safety
    /// As the methods of `V`.
    unsafe fn load<V: Vector>(from: *const Self) -> V;
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: as the caller promises.
        unsafe { V::load(from) }
    }
}

impl Stored for u16 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: as the caller promises.
        unsafe { V::load_halves(from) }
    }
}

impl Stored for i8 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: as the caller promises.
        unsafe { V::load_bytes(from) }
    }
}

/// # Safety
/// As the methods of `V`, within the bounds that `Chains::run` asserts.
#[inline(always)]
unsafe fn all<V: Vector>(chains: &Chains, out: &mut [f32]) {
    // SAFETY: as the caller promises.
    unsafe {
        match chains.table {
            Table::Floats(table) => over::<V, f32>(chains, table.as_ptr(), out.as_mut_ptr()),
            Table::Halves(table) => over::<V, u16>(chains, table.as_ptr(), out.as_mut_ptr()),
            Table::Bytes(table) => over::<V, i8>(chains, table.as_ptr(), out.as_mut_ptr()),
        }
    }
}

/// # Safety
/// As `all`.
#[inline(always)]
unsafe fn over<V: Vector, S: Stored>(chains: &Chains, table: *const S, out: *mut f32) {
    let mut queries = chains.queries;
    while !queries.is_empty() {
        // SAFETY: as the caller promises.
        let done = unsafe {
            match queries.len() {
                1 => block::<V, S, 1>(chains, queries, table, out),
                2 | 3 => block::<V, S, 2>(chains, queries, table, out),
                4 | 5 => block::<V, S, 4>(chains, queries, table, out),
                _ => block::<V, S, 6>(chains, queries, table, out),
            }
        };
        queries = &queries[done..];
    }
}

/// The first `Q` queries, as many columns at a time as registers hold.
///
/// # Safety
/// As `all`, and there are so many queries.
#[inline(always)]
unsafe fn block<V: Vector, S: Stored, const Q: usize>(
    chains: &Chains,
    queries: &[(usize, usize)],
    table: *const S,
    out: *mut f32,
) -> usize {
    let mut column = 0;
    while column < chains.columns {
        let left = chains.columns - column;
        // SAFETY: as the caller promises.
        unsafe {
            column += match (V::WIDTH, Q) {
                (16, _) if left >= 64 => tile::<V, S, Q, 4>(chains, queries, table, out, column),
                (16, _) => tile::<V, S, Q, 1>(chains, queries, table, out, column),
                (_, 1) if left >= 64 => tile::<V, S, Q, 8>(chains, queries, table, out, column),
                (_, 2) if left >= 32 => tile::<V, S, Q, 4>(chains, queries, table, out, column),
                _ => tile::<V, S, Q, 2>(chains, queries, table, out, column),
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
unsafe fn tile<V: Vector, S: Stored, const Q: usize, const N: usize>(
    chains: &Chains,
    queries: &[(usize, usize)],
    table: *const S,
    out: *mut f32,
    column: usize,
) -> usize {
    // SAFETY: as the caller promises.
    unsafe {
        let mut factors = [chains.factors.as_ptr(); Q];
        let mut results = [out; Q];
        let mut sums = [[V::splat(0.0); N]; Q];
        for query in 0..Q {
            factors[query] = factors[query].add(queries[query].0);
            results[query] = results[query].add(queries[query].1 + column);
            if !chains.fresh {
                for side in 0..N {
                    sums[query][side] = V::load(results[query].add(side * V::WIDTH));
                }
            }
        }
        let mut row = table.add(column);
        for k in 0..chains.count {
            let mut values = [V::splat(0.0); N];
            for side in 0..N {
                values[side] = S::load::<V>(row.add(side * V::WIDTH));
            }
            for query in 0..Q {
                let factor = V::splat(*factors[query].add(k));
                for side in 0..N {
                    sums[query][side] = factor.fused(values[side], sums[query][side]);
                }
            }
            row = row.wrapping_add(chains.stride);
        }
        let scale = V::splat(chains.scale);
        for query in 0..Q {
            for side in 0..N {
                sums[query][side].multiply(scale).store(results[query].add(side * V::WIDTH));
            }
        }
    }
    N * V::WIDTH
}

/// Widens binary16; `to` gets the length of `from`.
pub fn from_halves(level: Level, from: &[u16], to: &mut Vec<f32>) {
    to.resize(from.len(), 0.0);
    let to = &mut to[..];
    let whole = from.len() / COLUMNS * COLUMNS;
    {
        let (from, to) = (&from[..whole], &mut to[..whole]);
        // SAFETY: the level was detected; both have the same length, a multiple of every width.
        unsafe { by_level!(level, widen(from: &[u16], to: &mut [f32])) }
    }
    to.iter_mut().zip(from).skip(whole).for_each(|(to, &from)| *to = graph::float::from_half(from));
}

/// Converts bytes; `to` gets the length of `from`.
pub fn from_bytes(level: Level, from: &[i8], to: &mut Vec<f32>) {
    to.resize(from.len(), 0.0);
    convert(level, from, to);
}

versions! {
    fn convert(from: &[i8], to: &mut [f32]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = f32::from(from);
        }
    }
}

/// Rounds to binary16; `to` gets the length of `from`.
pub fn to_halves(level: Level, from: &[f32], to: &mut Vec<u16>) {
    to.resize(from.len(), 0);
    let to = &mut to[..];
    let whole = from.len() / COLUMNS * COLUMNS;
    {
        let (from, to) = (&from[..whole], &mut to[..whole]);
        // SAFETY: the level was detected; both have the same length, a multiple of every width.
        unsafe { by_level!(level, narrow(from: &[f32], to: &mut [u16])) }
    }
    to.iter_mut().zip(from).skip(whole).for_each(|(to, &from)| *to = graph::float::to_half(from));
}

/// # Safety
/// As the methods of `V`; both have the same length, a multiple of the width.
#[inline(always)]
unsafe fn widen<V: Vector>(from: &[u16], to: &mut [f32]) {
    for place in (0..from.len()).step_by(V::WIDTH) {
        // SAFETY: as the caller promises.
        unsafe { V::load_halves(from.as_ptr().add(place)).store(to.as_mut_ptr().add(place)) };
    }
}

/// # Safety
/// As `widen`.
#[inline(always)]
unsafe fn narrow<V: Vector>(from: &[f32], to: &mut [u16]) {
    for place in (0..from.len()).step_by(V::WIDTH) {
        // SAFETY: as the caller promises.
        unsafe { V::load(from.as_ptr().add(place)).store_halves(to.as_mut_ptr().add(place)) };
    }
}

#[cfg(test)]
mod tests {
    use graph::float::{from_half, to_half};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_level_has_the_chains_of_the_plain_loop(
            queries in 1_usize..20, blocks in 1_usize..10, count in 0_usize..40, kind in 0_usize..3, fresh: bool, seed: u64,
        ) {
            let mut state = seed | 1;
            let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state as i32 as f32) / 1e9 };
            let columns = blocks * COLUMNS;
            let stride = columns + 3;
            let bits: Vec<u16> = (0..(count + 1) * stride).map(|_| to_half(next())).collect();
            let bytes: Vec<i8> = bits.iter().map(|&bits| bits as i8).collect();
            let floats: Vec<f32> = match kind {
                2 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
                _ => bits.iter().map(|&bits| from_half(bits)).collect(),
            };
            let factors: Vec<f32> = (0..queries * 50).map(|_| next()).collect();
            let start: Vec<f32> = (0..queries * columns).map(|_| next()).collect();
            let places: Vec<(usize, usize)> = (0..queries).map(|query| (query * 50 + 3, (queries - 1 - query) * columns)).collect();
            let mut expected = start.clone();
            for (from, to) in &places {
                for column in 0..columns {
                    let first = if fresh { 0.0 } else { start[to + column] };
                    let chain = |sum: f32, k: usize| factors[from + k].mul_add(floats[k * stride + column], sum);
                    expected[to + column] = (0..count).fold(first, chain) * 0.7;
                }
            }
            for level in Level::available() {
                let mut out = start.clone();
                let table = [Table::Halves(&bits), Table::Floats(&floats), Table::Bytes(&bytes)][kind];
                let chains = Chains { table, stride, columns, count, factors: &factors, queries: &places, scale: 0.7, fresh };
                chains.run(level, &mut out);
                prop_assert!(out.iter().zip(&expected).all(|(x, y)| x.to_bits() == y.to_bits()), "{}", level.name());
                let mut back = Vec::new();
                let mut wide = Vec::new();
                from_halves(level, &bits, &mut wide);
                to_halves(level, &wide, &mut back);
                prop_assert!(back == bits && (kind == 2 || wide == floats), "{}", level.name());
                from_bytes(level, &bytes, &mut wide);
                prop_assert!(wide.iter().zip(&bytes).all(|(wide, &byte)| *wide == f32::from(byte)), "{}", level.name());
            }
        }
    }
}
