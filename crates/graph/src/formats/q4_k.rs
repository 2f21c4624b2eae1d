//! `q4_k`: superblocks of 256 columns: integers of 4 bits in sub-blocks of 32, with 6-bit scales and minima.

use super::{
    BLOCK, Block, BlockMut, Group, Layout, Weights,
    kquant::{COLUMNS, NIBBLES, SCALES, SUBS, nibble, pack_nibbles, pack_scales, scale},
    multiply_out,
};

pub static LAYOUT: Layout = Layout {
    name: "q4_k",
    code: 22,
    weights: Weights::Blocks,
    columns: COLUMNS,
    quants: NIBBLES,
    scales: SCALES,
    source: 144,
    pack,
    values,
    groups,
};

fn pack(source: &[u8], row: usize, mut block: BlockMut) {
    pack_scales(&source[..4], &source[4..16], row, &mut block);
    pack_nibbles(&source[16..], row, block.quants);
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let group = |sub: usize| {
        let (scale, minimum) = scale(block, sub, row);
        let quants = (0..BLOCK).map(|column| nibble(block.quants, sub, column, row).cast_signed()).collect();
        Group { scale, minimum: Some(minimum), quants }
    };
    (0..SUBS).map(group).collect()
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
