//! Panels: some blocks of a tile of packed weights, expanded to a byte a weight and a float a scale, for many rows.
//!
//! A block of a panel is `[8 groups of 4 columns][16 outputs][4]` bytes, which is a tile of AMX and a vector of
//! AVX-512 a group. How a format expands is a file here; a row of activations alone never expands anything.

mod iq4_nl;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

use std::ops::Range;

use graph::Format;

use super::{BLOCK, ROWS, halves::halves};
use crate::cpu::{Instructions, Level, versions};

/// Bytes of a block of 16 outputs.
pub const BLOCK_BYTES: usize = BLOCK * ROWS;
/// Blocks of a panel, at most: 32 KiB of bytes. A multiple of every format's superblock.
pub const PANEL_BLOCKS: usize = 64;

/// What the bytes of a panel are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Values {
    /// An i8 each.
    Signed,
    /// From 0 to 15, each standing for itself less the offset.
    Nibbles { offset: i32 },
}

/// How the outputs' chains take a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Steps {
    /// One step with one scale.
    Whole,
    /// The same, then one with the minimum.
    Minimum,
    /// Two steps, 16 columns each, with a scale each.
    Halves,
}

/// Blocks of one tile, ready to be multiplied.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    pub values: Values,
    pub steps: Steps,
    /// Packed bytes that will be wanted next, to be asked for meanwhile.
    pub next: &'a [u8],
    /// `BLOCK_BYTES` a block.
    pub bytes: &'a [u8],
    /// 16 a step, all steps of a block after one another (a minimum has none here).
    pub scales: &'a [f32],
    /// 16 a block where there are minima, with their signs turned.
    pub minima: &'a [f32],
}

impl Panel<'_> {
    /// Blocks, after making sure that every part holds as many: kernels rely on it.
    pub fn checked_blocks(&self) -> usize {
        let blocks = self.bytes.len() / BLOCK_BYTES;
        let scales = if self.steps == Steps::Halves { 2 * ROWS } else { ROWS };
        let minima = if self.steps == Steps::Minimum { ROWS } else { 0 };
        assert!(self.scales.len() >= blocks * scales && self.minima.len() >= blocks * minima, "scales of every block");
        blocks
    }
}

/// Room for a panel.
pub struct Scratch {
    lines: Vec<Line>,
    scales: Vec<f32>,
    minima: Vec<f32>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Scratch {
    pub fn new() -> Self {
        Self {
            lines: vec![Line([0; 64]); PANEL_BLOCKS * BLOCK_BYTES / 64],
            scales: vec![0.0; PANEL_BLOCKS * 2 * ROWS],
            minima: vec![0.0; PANEL_BLOCKS * ROWS],
        }
    }

    fn parts(&mut self) -> (&mut [u8], &mut [f32], &mut [f32]) {
        let count = self.lines.len() * 64;
        // SAFETY: a line is 64 bytes without padding.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), count) };
        (bytes, &mut self.scales, &mut self.minima)
    }
}

/// A tile of some format, of `total` blocks of 32 columns.
#[derive(Clone, Copy)]
pub struct Tile<'a> {
    pub bytes: &'a [u8],
    pub total: usize,
}

impl<'a> Tile<'a> {
    /// The packed bytes of a range of blocks, without their scales.
    pub fn quants(&self, format: Format, blocks: Range<usize>) -> &'a [u8] {
        let layout = format.layout();
        let bytes = layout.quants / (layout.columns / BLOCK).max(1);
        self.bytes.get(blocks.start * bytes..blocks.end * bytes).unwrap_or(&[])
    }
}

/// Expands a range of a tile's blocks, which begins and ends between superblocks.
pub type Expand = for<'a> fn(Level, Tile<'a>, Range<usize>, &'a mut Scratch) -> Panel<'a>;

static EXPANSIONS: &[(Format, Expand)] = &[
    (Format::Q8_0, q8_0::expand),
    (Format::Q4_0, q4_0::expand),
    (Format::Q4K, q4_k::expand),
    (Format::Q5K, q5_k::expand),
    (Format::Q6K, q6_k::expand),
    (Format::Q4_1, q4_1::expand),
    (Format::Q5_0, q5_0::expand),
    (Format::Q5_1, q5_1::expand),
    (Format::Iq4Nl, iq4_nl::expand),
];

/// How a format expands; `None` for formats without blocks.
pub fn expansion(format: Format) -> Option<Expand> {
    EXPANSIONS.iter().find(|(of, _)| *of == format).map(|(_, expand)| *expand)
}

/// Whether a level multiplies nibbles faster than signed bytes.
fn wants_nibbles(level: Level) -> bool {
    level.instructions() == Instructions::Avx2
}

/// Scales of blocks that have two of each output: what the integers are multiplied by, and what is added.
fn pairs_of_halves(level: Level, given: &[u8], scales: &mut [f32], minima: &mut [f32]) {
    for (index, given) in given.chunks_exact(4 * ROWS).enumerate() {
        let (scale, added) = given.split_at(2 * ROWS);
        halves(level, scale, &mut scales[index * ROWS..]);
        halves(level, added, &mut minima[index * ROWS..]);
    }
}

versions! {
    /// Low and high nibbles of bytes, less an offset.
    fn nibbles(from: &[u8], low: &mut [u8], high: &mut [u8], offset: u8) {
        for ((from, low), high) in from.iter().zip(low).zip(high) {
            *low = (from & 15).wrapping_sub(offset);
            *high = (from >> 4).wrapping_sub(offset);
        }
    }
}
