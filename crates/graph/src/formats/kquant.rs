//! What the formats with superblocks of 256 columns share: 8 sub-blocks of 32, in pairs whose nibbles share bytes.

use super::{BLOCK, Block, BlockMut, TILE_ROWS, half_at, place};

pub const COLUMNS: usize = 256;
pub const SUBS: usize = COLUMNS / BLOCK;
/// Bytes of the nibbles of a superblock of 16 rows.
pub const NIBBLES: usize = COLUMNS / 2 * TILE_ROWS;
/// Bytes of one sub-block's group places: 32 columns of 16 rows.
pub const SUB_BYTES: usize = BLOCK * TILE_ROWS;
/// Bytes of the scales of formats with minima: two binary16 and two 8-bit factors a sub-block, of 16 rows.
pub const SCALES: usize = (4 + 2 * SUBS) * TILE_ROWS;

/// Where the nibble of a column of a sub-block lies, and its shift.
pub fn nibble_place(sub: usize, column: usize, row: usize) -> (usize, usize) {
    (sub / 2 * SUB_BYTES + place(column, row), sub % 2 * 4)
}

pub fn nibble(quants: &[u8], sub: usize, column: usize, row: usize) -> u8 {
    let (at, shift) = nibble_place(sub, column, row);
    quants[at] >> shift & 15
}

/// Puts 128 bytes of nibbles, 32 for each pair of sub-blocks, into their places.
pub fn pack_nibbles(source: &[u8], row: usize, quants: &mut [u8]) {
    for (index, &pair) in source.iter().enumerate() {
        quants[index / BLOCK * SUB_BYTES + place(index % BLOCK, row)] = pair;
    }
}

/// Puts the two binary16 numbers and the packed 6-bit factors of a superblock with minima into their places.
pub fn pack_scales(halves: &[u8], factors: &[u8], row: usize, block: &mut BlockMut) {
    block.scales[2 * row..][..2].copy_from_slice(&halves[..2]);
    block.scales[2 * (TILE_ROWS + row)..][..2].copy_from_slice(&halves[2..4]);
    for sub in 0..SUBS {
        // The first four of each kind are whole; the others are cut into four low and two high bits.
        let (scale, minimum) = if sub < 4 {
            (factors[sub] & 63, factors[sub + 4] & 63)
        } else {
            let low = factors[sub + 4];
            (low & 15 | factors[sub - 4] >> 6 << 4, low >> 4 | factors[sub] >> 6 << 4)
        };
        block.scales[(4 + sub) * TILE_ROWS + row] = scale;
        block.scales[(4 + SUBS + sub) * TILE_ROWS + row] = minimum;
    }
}

/// Scale and minimum of a sub-block. Both products are exact: 11 and 6 significant bits.
pub fn scale(block: Block, sub: usize, row: usize) -> (f32, f32) {
    let factor = |index: usize| f32::from(block.scales[(4 + index) * TILE_ROWS + row]);
    (half_at(block.scales, row) * factor(sub), half_at(block.scales, TILE_ROWS + row) * factor(SUBS + sub))
}
