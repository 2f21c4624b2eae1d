//! `q8_0`: the bytes are used where they lie.

use std::ops::Range;

use super::{BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, halves};
use crate::cpu::Level;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (_, scales, _) = scratch.parts();
    let at = tile.total * BLOCK_BYTES + 2 * ROWS * blocks.start;
    halves(level, &tile.bytes[at..][..2 * ROWS * blocks.len()], scales);
    let bytes = &tile.bytes[blocks.start * BLOCK_BYTES..blocks.end * BLOCK_BYTES];
    Panel { next: &[], values: Values::Signed, steps: Steps::Whole, bytes, scales, minima: &[] }
}
