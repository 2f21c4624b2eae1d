//! `q4_1`: blocks of 32 integers of 4 bits, with a binary16 scale and another one that is added.

use super::{
    BLOCK, Block, BlockMut, Group, Layout, TILE_ROWS, Weights, half_at, multiply_out,
    pairs::{NIBBLES, minimum, nibble, pack_halves, pack_nibbles},
};

pub static LAYOUT: Layout = Layout {
    name: "q4_1",
    code: 25,
    weights: Weights::Blocks,
    columns: BLOCK,
    quants: NIBBLES,
    scales: 4 * TILE_ROWS,
    source: 20,
    pack,
    values,
    groups,
};

fn pack(source: &[u8], row: usize, block: BlockMut) {
    pack_halves(&source[..4], row, block.scales);
    pack_nibbles(&source[4..], row, block.quants);
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let quants = (0..BLOCK).map(|column| nibble(block.quants, column, row).cast_signed()).collect();
    vec![Group { scale: half_at(block.scales, row), minimum: Some(minimum(block.scales, row)), quants }]
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
