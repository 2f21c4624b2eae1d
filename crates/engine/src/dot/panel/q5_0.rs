//! `q5_0`: nibbles as `q4_0`, with a fifth bit for every weight behind those of their block.

use std::ops::Range;

use super::{BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, halves, nibbles, q5_k::fifth};
use crate::cpu::Level;

const NIBBLES: usize = BLOCK_BYTES / 2;
/// Bytes of a block.
pub const PACKED: usize = NIBBLES + BLOCK_BYTES / 8;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, _) = scratch.parts();
    let at = tile.total * PACKED + 2 * ROWS * blocks.start;
    halves(level, &tile.bytes[at..][..2 * ROWS * blocks.len()], scales);
    let bytes = &mut bytes[..blocks.len() * BLOCK_BYTES];
    // A nibble less 16 has all upper bits; the fifth bit takes them away.
    fives(level, &tile.bytes[blocks.start * PACKED..blocks.end * PACKED], bytes, 16, 0xf0);
    Panel { next: &[], values: Values::Signed, steps: Steps::Whole, bytes, scales, minima: &[] }
}

/// Integers of five bits, a byte each: nibbles less an offset, of which a fifth bit flips some upper bits.
pub fn fives(level: Level, packed: &[u8], bytes: &mut [u8], offset: u8, flipped: u8) {
    for (packed, bytes) in packed.chunks_exact(PACKED).zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
        let (pairs, fifths) = packed.split_at(NIBBLES);
        let (low, high) = bytes.split_at_mut(NIBBLES);
        nibbles(level, pairs, low, high, offset);
        fifth(level, fifths, bytes, flipped);
    }
}
