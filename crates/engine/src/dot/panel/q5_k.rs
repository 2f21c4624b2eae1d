//! `q5_k`: as `q4_k`, with a fifth bit for every weight behind the nibbles.

use std::ops::Range;

use super::{
    BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values,
    q4_k::{SCALES, SUBS, factors, spread},
};
use crate::cpu::{Level, versions};

const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
const BITS: usize = SUBS * BLOCK_BYTES / 8;
const PACKED: usize = NIBBLES + BITS;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, minima) = scratch.parts();
    for (index, superblock) in (blocks.start / SUBS..blocks.end / SUBS).enumerate() {
        let (packed, bits) = tile.bytes[superblock * PACKED..][..PACKED].split_at(NIBBLES);
        let bytes = &mut bytes[index * SUBS * BLOCK_BYTES..][..SUBS * BLOCK_BYTES];
        spread(level, packed, bytes);
        fifth(level, bits, bytes);
        let given = &tile.bytes[tile.total / SUBS * PACKED + superblock * SCALES..][..SCALES];
        let at = index * SUBS * ROWS;
        factors(level, given, &mut scales[at..][..SUBS * ROWS], &mut minima[at..][..SUBS * ROWS]);
    }
    let bytes = &bytes[..blocks.len() * BLOCK_BYTES];
    Panel { next: &[], values: Values::Signed, steps: Steps::Minimum, bytes, scales, minima }
}

versions! {
    /// Adds 16 to the bytes whose bit is set.
    fn fifth(bits: &[u8], bytes: &mut [u8]) {
        for (bits, bytes) in bits.iter().zip(bytes.as_chunks_mut::<8>().0) {
            // Each of the eight bits to bit 4 of its own byte.
            let spread = (u64::from(*bits) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
            let ones = (spread + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101;
            let sum = u64::from_le_bytes(*bytes) | ones << 4;
            *bytes = sum.to_le_bytes();
        }
    }
}
