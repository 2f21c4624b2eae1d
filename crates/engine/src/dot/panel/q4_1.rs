//! `q4_1`: nibbles as `q4_0`, a scale and what is added for each block.

use std::ops::Range;

use super::{BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, nibbles, pairs_of_halves};
use crate::cpu::Level;

const PACKED: usize = BLOCK_BYTES / 2;
/// Bytes of a block's scales.
const SCALES: usize = 4 * ROWS;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, minima) = scratch.parts();
    let at = tile.total * PACKED + SCALES * blocks.start;
    pairs_of_halves(level, &tile.bytes[at..][..SCALES * blocks.len()], scales, minima);
    let packed = tile.bytes[blocks.start * PACKED..blocks.end * PACKED].chunks_exact(PACKED);
    for (packed, bytes) in packed.zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
        let (low, high) = bytes.split_at_mut(PACKED);
        nibbles(level, packed, low, high, 0);
    }
    let (values, bytes) = (Values::Nibbles { offset: 0 }, &bytes[..blocks.len() * BLOCK_BYTES]);
    Panel { next: &[], values, steps: Steps::Minimum, bytes, scales, minima }
}
