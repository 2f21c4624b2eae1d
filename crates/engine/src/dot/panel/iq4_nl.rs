//! `iq4_nl`: nibbles as `q4_0`, each the place of an integer.

use std::ops::Range;

use graph::formats::iq4_nl::INTEGERS;

use super::{BLOCK_BYTES, Panel, ROWS, Scratch, Steps, Tile, Values, halves};
use crate::cpu::{Level, versions};

const PACKED: usize = BLOCK_BYTES / 2;

pub fn expand<'a>(level: Level, tile: Tile<'a>, blocks: Range<usize>, scratch: &'a mut Scratch) -> Panel<'a> {
    let (bytes, scales, _) = scratch.parts();
    let at = tile.total * PACKED + 2 * ROWS * blocks.start;
    halves(level, &tile.bytes[at..][..2 * ROWS * blocks.len()], scales);
    let packed = tile.bytes[blocks.start * PACKED..blocks.end * PACKED].chunks_exact(PACKED);
    for (packed, bytes) in packed.zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
        let (low, high) = bytes.split_at_mut(PACKED);
        integers(level, packed, low, high);
    }
    let bytes = &bytes[..blocks.len() * BLOCK_BYTES];
    Panel { next: &[], values: Values::Signed, steps: Steps::Whole, bytes, scales, minima: &[] }
}

versions! {
    /// What low and high nibbles of bytes stand for.
    fn integers(from: &[u8], low: &mut [u8], high: &mut [u8]) {
        for ((from, low), high) in from.iter().zip(low).zip(high) {
            *low = INTEGERS[usize::from(from & 15)].cast_unsigned();
            *high = INTEGERS[usize::from(from >> 4)].cast_unsigned();
        }
    }
}
