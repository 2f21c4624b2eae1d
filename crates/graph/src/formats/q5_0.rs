//! `q5_0`: blocks of 32 integers of 5 bits, from -16, with a binary16 scale.

use super::{
    BLOCK, Block, BlockMut, Group, Layout, TILE_ROWS, Weights, half_at, multiply_out,
    pairs::{FIFTHS, NIBBLES, five, pack_fives, pack_halves},
};

pub static LAYOUT: Layout = Layout {
    name: "q5_0",
    code: 26,
    weights: Weights::Blocks,
    columns: BLOCK,
    quants: NIBBLES + FIFTHS,
    scales: 2 * TILE_ROWS,
    source: 22,
    pack,
    values,
    groups,
};

fn pack(source: &[u8], row: usize, block: BlockMut) {
    pack_halves(&source[..2], row, block.scales);
    pack_fives(&source[2..], row, block.quants);
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let quants = (0..BLOCK).map(|column| five(block.quants, column, row).cast_signed() - 16).collect();
    vec![Group { scale: half_at(block.scales, row), minimum: None, quants }]
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
