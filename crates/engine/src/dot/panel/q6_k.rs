//! `q6_k`: nibbles as `q4_k`, two upper bits of four blocks in a byte, a scale for every 16 columns.

use std::ops::Range;

use super::{
    BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, halves,
    q4_k::{SUBS, spread},
};
use crate::cpu::{Level, versions};

const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
const UPPER: usize = 2 * BLOCK_BYTES;
const PACKED: usize = NIBBLES + UPPER;
/// Bytes of a superblock's scales: a binary16 and 16 factors of 16 outputs.
const SCALES: usize = (2 + 2 * SUBS) * ROWS;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, _) = scratch.parts();
    for (index, superblock) in (blocks.start / SUBS..blocks.end / SUBS).enumerate() {
        let (packed, upper) = tile.bytes[superblock * PACKED..][..PACKED].split_at(NIBBLES);
        let bytes = &mut bytes[index * SUBS * BLOCK_BYTES..][..SUBS * BLOCK_BYTES];
        spread(level, packed, bytes);
        for (sub, bytes) in bytes.chunks_exact_mut(BLOCK_BYTES).enumerate() {
            join(level, &upper[sub / 4 * BLOCK_BYTES..][..BLOCK_BYTES], bytes, 2 * (sub % 4) as u32);
        }
        let given = &tile.bytes[tile.total / SUBS * PACKED + superblock * SCALES..][..SCALES];
        let mut wide = [0.0; ROWS];
        halves(level, &given[..2 * ROWS], &mut wide);
        times(level, &wide, &given[2 * ROWS..], &mut scales[index * 2 * SUBS * ROWS..][..2 * SUBS * ROWS]);
    }
    let bytes = &bytes[..blocks.len() * BLOCK_BYTES];
    Panel { next: &[], values: Values::Signed, steps: Steps::Halves, bytes, scales, minima: &[] }
}

versions! {
    /// Puts two upper bits over each nibble, and takes 32 off.
    fn join(upper: &[u8], bytes: &mut [u8], shift: u32) {
        for (upper, byte) in upper.iter().zip(bytes) {
            *byte = (*byte | (upper >> shift & 3) << 4).wrapping_sub(32);
        }
    }
}

versions! {
    fn times(wide: &[f32], factors: &[u8], products: &mut [f32]) {
        for (factors, products) in factors.chunks_exact(ROWS).zip(products.chunks_exact_mut(ROWS)) {
            for lane in 0..ROWS {
                products[lane] = wide[lane] * f32::from(factors[lane].cast_signed());
            }
        }
    }
}
