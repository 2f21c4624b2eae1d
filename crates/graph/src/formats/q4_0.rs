//! `q4_0`: blocks of 32 integers of 4 bits, from -8, with a binary16 scale.
//!
//! A byte holds the columns `c` (low) and `c + 16` (high) of its row.

use super::{BLOCK, Block, BlockMut, Group, Layout, TILE_ROWS, Weights, half_at, multiply_out, place};

const HALF: usize = BLOCK / 2;

pub static LAYOUT: Layout = Layout {
    name: "q4_0",
    code: 21,
    weights: Weights::Blocks,
    columns: BLOCK,
    quants: HALF * TILE_ROWS,
    scales: 2 * TILE_ROWS,
    source: 2 + HALF,
    pack,
    values,
    groups,
};

fn pack(source: &[u8], row: usize, block: BlockMut) {
    let (scale, quants) = source.split_at(2);
    block.scales[2 * row..][..2].copy_from_slice(scale);
    for (column, &pair) in quants.iter().enumerate() {
        block.quants[place(column, row)] = pair;
    }
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let pair = |column: usize| block.quants[place(column % HALF, row)] >> (column / HALF * 4) & 15;
    let quants = (0..BLOCK).map(|column| pair(column).cast_signed() - 8).collect();
    vec![Group { scale: half_at(block.scales, row), minimum: None, quants }]
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
