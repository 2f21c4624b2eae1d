//! Integer dot products of activations with int8 weights that are packed into tiles of 16 rows.
//!
//! A tile lies as `[group of 4 columns][16 rows][4 bytes]`: a vector holds the same 4 columns of 16 (or 8) outputs, so
//! kernels run over outputs and no lane is ever summed with another. All sums are exact, so every level has the same.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use bytes::Bytes;
use graph::Format;

use crate::cpu::{Instructions, Level};

/// Rows of a tile.
pub const ROWS: usize = 16;
/// Columns of a group.
pub const GROUP: usize = 4;

pub type Sums = [i32; ROWS];

/// A constant int8 matrix, as it lies in its artefact. Missing rows and columns are zeros.
pub struct Tiles {
    pub outputs: usize,
    pub groups: usize,
    /// Bytes from one tile to the next.
    stride: usize,
    bytes: Bytes,
}

impl Tiles {
    /// The tiles of a matrix of the formats `i8` and `q8_0`: they begin with the integers of all columns.
    pub fn of(packed: &graph::Packed) -> Option<Self> {
        let format = packed.format();
        if !matches!(format, Format::I8 | Format::Q8_0) {
            return None;
        }
        let columns = format.blocks(packed.columns())? * format.layout().columns;
        let stride = format.tile_bytes(packed.columns())?;
        Some(Self { outputs: packed.rows(), groups: columns / GROUP, stride, bytes: packed.bytes().clone() })
    }

    pub fn count(&self) -> usize {
        self.outputs.div_ceil(ROWS)
    }

    /// The bytes of the groups `from..from + count` of a tile.
    fn groups_of(&self, tile: usize, from: usize, count: usize) -> &[i8] {
        let bytes = &self.bytes[tile * self.stride + from * ROWS * GROUP..][..count * ROWS * GROUP];
        // SAFETY: any byte is an i8, and both have the same size and alignment.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
    }

    /// 128 times the sum of each row's weights over some groups: what biased bytes add too much.
    pub fn bias(&self, tile: usize, from: usize, count: usize) -> Sums {
        let mut sums = [0; ROWS];
        for group in self.groups_of(tile, from, count).chunks_exact(ROWS * GROUP) {
            for (sum, bytes) in sums.iter_mut().zip(group.chunks_exact(GROUP)) {
                *sum += bytes.iter().map(|&weight| i32::from(weight) * 128).sum::<i32>();
            }
        }
        sums
    }
}

/// How a level wants activations: one 32-bit word a group, or two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Four bytes, each with 128 added.
    Biased,
    /// (x0, x2) and (x1, x3) as pairs of i16.
    Pairs,
}

impl Layout {
    pub fn of(level: Level, small: bool) -> Self {
        if small && level.vectors() == Instructions::Avx512 { Self::Biased } else { Self::Pairs }
    }

    pub fn words(self) -> usize {
        match self {
            Self::Biased => 1,
            Self::Pairs => 2,
        }
    }

    /// Packs one row of i8.
    pub fn pack_bytes(self, row: &[i8], words: &mut [u32]) {
        match self {
            Self::Biased => {
                for (word, four) in words.iter_mut().zip(row.chunks(GROUP)) {
                    let mut bytes = [128; GROUP];
                    bytes.iter_mut().zip(four).for_each(|(byte, x)| *byte = x.cast_unsigned() ^ 128);
                    *word = u32::from_le_bytes(bytes);
                }
            }
            Self::Pairs => pack_pairs(row, words),
        }
    }
}

/// Packs one row as pairs of i16.
pub fn pack_pairs<T: Copy + Into<i16>>(row: &[T], words: &mut [u32]) {
    for (pair, four) in words.chunks_exact_mut(2).zip(row.chunks(GROUP)) {
        let mut x = [0_u32; GROUP];
        x.iter_mut().zip(four).for_each(|(x, &value)| *x = u32::from(value.into().cast_unsigned()));
        pair[0] = x[0] | x[2] << 16;
        pair[1] = x[1] | x[3] << 16;
    }
}

/// Activations of several rows, packed.
pub struct Packed<'a> {
    pub layout: Layout,
    /// `stride` words a row.
    pub words: &'a [u32],
    pub stride: usize,
}

/// Most rows of activations that one call of `dots` takes.
pub const BATCH: usize = 8;

/// For the rows `first..first + sums.len()` of activations: the dot products with the 16 rows of a tile over the groups
/// `from..from + count`. Biased activations give sums that are too great by the tile's `bias`.
pub fn dots(
    level: Level,
    tiles: &Tiles,
    tile: usize,
    span: (usize, usize),
    x: &Packed,
    first: usize,
    sums: &mut [Sums],
) {
    let (from, count) = span;
    let weights = tiles.groups_of(tile, from, count);
    let words = x.layout.words();
    // Each kernel indexes rows by the stride; this bounds all of it.
    let start = first * x.stride + from * words;
    assert!(sums.len() <= BATCH && !sums.is_empty());
    let rows = &x.words[start..][..(sums.len() - 1) * x.stride + count * words];
    match level.vectors() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected; slices were cut to what the kernels read.
        Instructions::Avx512 => unsafe { avx512::dots(x.layout, weights, rows, x.stride, sums) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Instructions::Avx2 => unsafe { avx2::dots(weights, rows, x.stride, sums) },
        _ => portable::dots(weights, rows, x.stride, sums),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn direct(weights: &[i8], columns: usize, x: &[i16], row: usize) -> i32 {
        weights[row * columns..][..columns].iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum()
    }

    proptest! {
        #[test]
        fn every_level_has_the_sums_of_the_plain_loop(
            outputs in 1_usize..40, columns in 1_usize..150, rows in 1_usize..=BATCH, small: bool, seed: u64,
        ) {
            let mut state = seed | 1;
            let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
            let weights: Vec<i8> = (0..outputs * columns).map(|_| next() as i8).collect();
            let x: Vec<i16> = (0..rows * columns).map(|_| if small { next() as i8 as i16 } else { next() as i16 >> 2 }).collect();
            let tiles = Tiles::of(&graph::Packed::of_integers(&[outputs, columns], &weights).unwrap()).unwrap();
            for level in Level::available() {
                let layout = Layout::of(level, small);
                let stride = tiles.groups * layout.words();
                let mut words = vec![0; rows * stride];
                for (row, words) in x.chunks_exact(columns).zip(words.chunks_exact_mut(stride)) {
                    if small {
                        layout.pack_bytes(&row.iter().map(|&x| x as i8).collect::<Vec<_>>(), words);
                    } else {
                        pack_pairs(row, words);
                    }
                }
                let packed = Packed { layout, words: &words, stride };
                for tile in 0..tiles.count() {
                    let mut sums = vec![[0; ROWS]; rows];
                    dots(level, &tiles, tile, (0, tiles.groups), &packed, 0, &mut sums);
                    let bias = if layout == Layout::Biased { tiles.bias(tile, 0, tiles.groups) } else { [0; ROWS] };
                    for (row, sums) in sums.iter().enumerate() {
                        for lane in 0..ROWS.min(outputs - tile * ROWS) {
                            let expected = direct(&weights, columns, &x[row * columns..], tile * ROWS + lane);
                            prop_assert_eq!(sums[lane] - bias[lane], expected, "{} row {} lane {}", level.name(), row, lane);
                        }
                    }
                }
            }
        }
    }
}
