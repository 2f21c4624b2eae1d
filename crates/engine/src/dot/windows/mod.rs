//! Windows of bytes times packed weights: products whose rows are read where they lie.
//!
//! A row is not one piece of memory but several, each of whole groups of four columns (the lines of a window in an image), at
//! the same distances from the row's beginning for all rows. Activations are unsigned; who has signed ones turns their top bit
//! and begins each sum below by 128 times its weights. Sums are wrapping integers, so every level has the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::ops::Range;

use super::{Matrix, ROWS};
use crate::cpu::{Instructions, Level};

/// Rows of one call of a kernel.
pub const HEIGHT: usize = 6;
/// Tiles of one call of a kernel.
pub const TILES: usize = 4;
/// Bytes of a group of four columns of a tile.
const GROUP: usize = 4 * ROWS;

/// Sums of up to `HEIGHT` rows by up to `TILES` tiles, row by row.
#[repr(C, align(64))]
pub struct Sums(pub [[i32; TILES * ROWS]; HEIGHT]);

/// Where the bytes of rows lie.
#[derive(Clone, Copy)]
pub struct Pieces<'a> {
    pub bytes: &'a [u8],
    /// Where each row begins.
    pub rows: &'a [u32],
    /// Where each piece of a row begins, from the row's beginning on.
    pub pieces: &'a [u32],
    /// Groups of four columns of a piece.
    pub groups: usize,
}

/// Tiles that lie one after the other.
#[derive(Clone, Copy)]
pub struct Tiles<'a> {
    pub bytes: &'a [u8],
    pub tile_bytes: usize,
    pub count: usize,
}

impl<'a> Tiles<'a> {
    /// Tiles of a matrix.
    pub fn of(matrix: &Matrix<'a>, tiles: Range<usize>) -> Self {
        let (bytes, tile_bytes) = matrix.span(tiles.clone());
        Self { bytes, tile_bytes, count: tiles.len() }
    }
}

impl Pieces<'_> {
    /// `sums[row][output] = start[output] + Σ x · w`.
    pub fn multiply(&self, level: Level, tiles: &Tiles, start: &[i32], sums: &mut Sums) {
        let (height, width) = (self.rows.len(), tiles.count * ROWS);
        assert!((1..=HEIGHT).contains(&height) && (1..=TILES).contains(&tiles.count) && start.len() >= width);
        let end = |ends: &[u32]| ends.iter().max().map_or(0, |&end| end as usize);
        assert!(end(self.rows) + end(self.pieces) + 4 * self.groups <= self.bytes.len(), "rows within the bytes");
        let tile = self.pieces.len() * self.groups * GROUP;
        assert!(
            tile <= tiles.tile_bytes && tiles.bytes.len() >= tiles.tile_bytes * tiles.count,
            "weights for all pieces"
        );
        for sums in &mut sums.0[..height] {
            sums[..width].copy_from_slice(&start[..width]);
        }
        match level.vectors() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level was detected; the asserts bound everything that is read and written.
            Instructions::Avx512 | Instructions::Amx => unsafe { avx512::multiply(self, tiles, sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Instructions::Avx2 => unsafe { avx2::multiply(self, tiles, sums) },
            _ => portable::multiply(self, tiles, sums),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_level_has_the_sums_of_the_plain_loop(
            height in 1..=HEIGHT, tiles in 1..=TILES, pieces in 1_usize..4, groups in 1_usize..9, seed: u64,
        ) {
            let mut state = seed | 1;
            let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state >> 20) as u8 };
            let bytes: Vec<u8> = (0..400).map(|_| next()).collect();
            let rows: Vec<u32> = (0..height).map(|_| u32::from(next()) / 2).collect();
            let places: Vec<u32> = (0..pieces).map(|_| u32::from(next()) / 2).collect();
            let tile_bytes = pieces * groups * GROUP + 64;
            let weights: Vec<u8> = (0..tile_bytes * tiles).map(|_| next()).collect();
            let start: Vec<i32> = (0..tiles * ROWS).map(|_| i32::from(next()) - 100).collect();
            let x = Pieces { bytes: &bytes, rows: &rows, pieces: &places, groups };
            let all = Tiles { bytes: &weights, tile_bytes, count: tiles };
            for level in Level::available() {
                let mut sums = Sums([[0; TILES * ROWS]; HEIGHT]);
                x.multiply(level, &all, &start, &mut sums);
                for (row, &from) in rows.iter().enumerate() {
                    for (output, &first) in start.iter().enumerate() {
                        let mut sum = first;
                        for (piece, &place) in places.iter().enumerate() {
                            for column in 0..4 * groups {
                                let group = piece * groups + column / 4;
                                let at = output / ROWS * tile_bytes + group * GROUP + output % ROWS * 4 + column % 4;
                                let x = i32::from(bytes[(from + place) as usize + column]);
                                sum += x * i32::from(weights[at].cast_signed());
                            }
                        }
                        prop_assert!(sums.0[row][output] == sum, "{} {row} {output}", level.name());
                    }
                }
            }
        }
    }
}
