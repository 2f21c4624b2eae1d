//! What the formats with blocks of 32 columns and less than a byte for each share: a byte holds the nibbles of the columns
//! `c` (low) and `c + 16` (high) of its row, and fifth bits lie behind them.

use super::{BLOCK, GROUP_COLUMNS, TILE_ROWS, half_at, place};

/// Columns of either half of a block.
const HALF: usize = BLOCK / 2;
/// Bytes of the nibbles of a block of 16 rows.
pub const NIBBLES: usize = HALF * TILE_ROWS;
/// Bytes of the fifth bits of 32 columns of 16 rows.
pub const FIFTHS: usize = BLOCK / 8 * TILE_ROWS;

/// Puts a row's nibbles into their places.
pub fn pack_nibbles(source: &[u8], row: usize, quants: &mut [u8]) {
    for (column, &pair) in source.iter().enumerate() {
        quants[place(column, row)] = pair;
    }
}

pub fn nibble(quants: &[u8], column: usize, row: usize) -> u8 {
    quants[place(column % HALF, row)] >> (column / HALF * 4) & 15
}

/// The byte and the bit of it that hold a fifth bit: those of a group of columns are one 64-bit number, bit
/// `row · 4 + column`.
pub fn fifth_place(column: usize, row: usize) -> (usize, usize) {
    let bit = row * GROUP_COLUMNS + column % GROUP_COLUMNS;
    (column / GROUP_COLUMNS * 8 + bit / 8, bit % 8)
}

/// Puts a row's nibbles, and its fifth bits, which files have in front of them, one 32-bit number, into their places.
pub fn pack_fives(source: &[u8], row: usize, quants: &mut [u8]) {
    let (fifths, nibbles) = source.split_at(BLOCK / 8);
    pack_nibbles(nibbles, row, quants);
    for column in 0..BLOCK {
        let (at, bit) = fifth_place(column, row);
        quants[NIBBLES + at] |= (fifths[column / 8] >> (column % 8) & 1) << bit;
    }
}

/// An integer of five bits.
pub fn five(quants: &[u8], column: usize, row: usize) -> u8 {
    let (at, bit) = fifth_place(column, row);
    nibble(quants, column, row) | (quants[NIBBLES + at] >> bit & 1) << 4
}

/// Puts the binary16 numbers of a row's block, one or two, into their places.
pub fn pack_halves(source: &[u8], row: usize, scales: &mut [u8]) {
    for (index, half) in source.chunks_exact(2).enumerate() {
        scales[2 * (index * TILE_ROWS + row)..][..2].copy_from_slice(half);
    }
}

/// What is subtracted of each number: files have what is added.
pub fn minimum(scales: &[u8], row: usize) -> f32 {
    -half_at(scales, TILE_ROWS + row)
}
