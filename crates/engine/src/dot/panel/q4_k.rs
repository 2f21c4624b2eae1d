//! `q4_k`: superblocks of 8 blocks; a pair of blocks shares bytes, and each block has a scale and a minimum.

use std::ops::Range;

use super::{BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, halves, nibbles};
use crate::cpu::{Level, versions};

/// Blocks of a superblock.
pub const SUBS: usize = 8;
const PACKED: usize = SUBS / 2 * BLOCK_BYTES;
/// Bytes of a superblock's scales.
pub const SCALES: usize = (4 + 2 * SUBS) * ROWS;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, minima) = scratch.parts();
    for (index, superblock) in (blocks.start / SUBS..blocks.end / SUBS).enumerate() {
        let packed = &tile.bytes[superblock * PACKED..][..PACKED];
        spread(level, packed, &mut bytes[index * SUBS * BLOCK_BYTES..][..SUBS * BLOCK_BYTES]);
        let given = &tile.bytes[tile.total / SUBS * PACKED + superblock * SCALES..][..SCALES];
        let at = index * SUBS * ROWS;
        factors(level, given, &mut scales[at..][..SUBS * ROWS], &mut minima[at..][..SUBS * ROWS]);
    }
    let values = Values::Nibbles { offset: 0 };
    Panel { next: &[], values, steps: Steps::Minimum, bytes: &bytes[..blocks.len() * BLOCK_BYTES], scales, minima }
}

/// The nibbles of a superblock, a byte each.
pub fn spread(level: Level, packed: &[u8], bytes: &mut [u8]) {
    for (packed, bytes) in packed.chunks_exact(BLOCK_BYTES).zip(bytes.chunks_exact_mut(2 * BLOCK_BYTES)) {
        let (low, high) = bytes.split_at_mut(BLOCK_BYTES);
        nibbles(level, packed, low, high, 0);
    }
}

/// A superblock's scales and minima multiplied out; both products are exact.
pub fn factors(level: Level, given: &[u8], scales: &mut [f32], minima: &mut [f32]) {
    let mut wide = [0.0; 2 * ROWS];
    halves(level, &given[..4 * ROWS], &mut wide);
    let (scale, minimum) = wide.split_at(ROWS);
    let (of_scales, of_minima) = given[4 * ROWS..].split_at(SUBS * ROWS);
    times(level, scale, of_scales, scales, 1.0);
    times(level, minimum, of_minima, minima, -1.0);
}

versions! {
    fn times(wide: &[f32], factors: &[u8], products: &mut [f32], sign: f32) {
        for (factors, products) in factors.chunks_exact(ROWS).zip(products.chunks_exact_mut(ROWS)) {
            for lane in 0..ROWS {
                products[lane] = sign * (wide[lane] * f32::from(factors[lane]));
            }
        }
    }
}
