//! `q4_0`: the low nibbles are the first 16 columns, the high ones the last.

use std::ops::Range;

use super::{BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, halves, nibbles, wants_nibbles};
use crate::cpu::Level;

const PACKED: usize = BLOCK_BYTES / 2;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, _) = scratch.parts();
    let at = tile.total * PACKED + 2 * ROWS * blocks.start;
    halves(level, &tile.bytes[at..][..2 * ROWS * blocks.len()], scales);
    let values = if wants_nibbles(level) { Values::Nibbles { offset: 8 } } else { Values::Signed };
    let subtract = if values == Values::Signed { 8 } else { 0 };
    let packed = tile.bytes[blocks.start * PACKED..blocks.end * PACKED].chunks_exact(PACKED);
    for (packed, bytes) in packed.zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
        let (low, high) = bytes.split_at_mut(PACKED);
        nibbles(level, packed, low, high, subtract);
    }
    Panel { next: &[], values, steps: Steps::Whole, bytes: &bytes[..blocks.len() * BLOCK_BYTES], scales, minima: &[] }
}
