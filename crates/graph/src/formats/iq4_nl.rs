//! `iq4_nl`: as `q4_0`, but the 4 bits choose one of 16 integers that do not lie evenly.

use super::{
    BLOCK, Block, Group, Layout, TILE_ROWS, Weights, half_at, multiply_out,
    pairs::{NIBBLES, nibble},
    q4_0,
};

/// The integers. Frozen, and GGUF's own.
pub const INTEGERS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

pub static LAYOUT: Layout = Layout {
    name: "iq4_nl",
    code: 28,
    weights: Weights::Blocks,
    columns: BLOCK,
    quants: NIBBLES,
    scales: 2 * TILE_ROWS,
    source: 18,
    pack: q4_0::pack,
    values,
    groups,
};

fn groups(block: Block, row: usize) -> Vec<Group> {
    let quants = (0..BLOCK).map(|column| INTEGERS[usize::from(nibble(block.quants, column, row))]).collect();
    vec![Group { scale: half_at(block.scales, row), minimum: None, quants }]
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
