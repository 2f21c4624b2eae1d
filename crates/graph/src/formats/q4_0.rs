//! `q4_0`: blocks of 32 integers of 4 bits, from -8, with a binary16 scale.

use super::{
    BLOCK, Block, BlockMut, Group, Layout, TILE_ROWS, Weights, half_at, multiply_out,
    pairs::{NIBBLES, nibble, pack_halves, pack_nibbles},
};

pub static LAYOUT: Layout = Layout {
    name: "q4_0",
    code: 21,
    weights: Weights::Blocks,
    columns: BLOCK,
    quants: NIBBLES,
    scales: 2 * TILE_ROWS,
    source: 18,
    pack,
    values,
    groups,
};

pub(super) fn pack(source: &[u8], row: usize, block: BlockMut) {
    pack_halves(&source[..2], row, block.scales);
    pack_nibbles(&source[2..], row, block.quants);
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let quants = (0..BLOCK).map(|column| nibble(block.quants, column, row).cast_signed() - 8).collect();
    vec![Group { scale: half_at(block.scales, row), minimum: None, quants }]
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
