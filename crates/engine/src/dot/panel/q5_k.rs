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
        fifth(level, bits, bytes, 0x10);
        let given = &tile.bytes[tile.total / SUBS * PACKED + superblock * SCALES..][..SCALES];
        let at = index * SUBS * ROWS;
        factors(level, given, &mut scales[at..][..SUBS * ROWS], &mut minima[at..][..SUBS * ROWS]);
    }
    let bytes = &bytes[..blocks.len() * BLOCK_BYTES];
    Panel { next: &[], values: Values::Signed, steps: Steps::Minimum, bytes, scales, minima }
}

versions! {
    /// Flips some bits of the bytes whose bit is set.
    pub fn fifth(bits: &[u8], bytes: &mut [u8], flipped: u8) {
        let flipped = u64::from_le_bytes([flipped; 8]);
        for (bits, bytes) in bits.iter().zip(bytes.as_chunks_mut::<8>().0) {
            // Each of the eight bits to its own byte, all of it.
            let spread = (u64::from(*bits) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
            let ones = (spread + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101;
            let whole = ones * 0xff;
            *bytes = (u64::from_le_bytes(*bytes) ^ (whole & flipped)).to_le_bytes();
        }
    }
}
