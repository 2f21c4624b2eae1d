//! `q5_1`: integers as `q5_0`, a scale and what is added for each block.

use std::ops::Range;

use super::{
    BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, pairs_of_halves,
    q5_0::{PACKED, fives},
};
use crate::cpu::Level;

/// Bytes of a block's scales.
const SCALES: usize = 4 * ROWS;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, minima) = scratch.parts();
    let at = tile.total * PACKED + SCALES * blocks.start;
    pairs_of_halves(level, &tile.bytes[at..][..SCALES * blocks.len()], scales, minima);
    let bytes = &mut bytes[..blocks.len() * BLOCK_BYTES];
    fives(level, &tile.bytes[blocks.start * PACKED..blocks.end * PACKED], bytes, 0, 0x10);
    Panel { next: &[], values: Values::Signed, steps: Steps::Minimum, bytes, scales, minima }
}
