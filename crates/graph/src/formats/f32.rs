//! `f32`: IEEE binary32, a column of 16 rows after the other.

use super::{Block, BlockMut, Layout, TILE_ROWS, Weights, no_groups};

pub static LAYOUT: Layout = Layout {
    name: "f32",
    code: 16,
    weights: Weights::Float,
    columns: 1,
    quants: 4 * TILE_ROWS,
    scales: 0,
    source: 4,
    pack,
    values,
    groups: no_groups,
};

fn pack(source: &[u8], row: usize, block: BlockMut) {
    block.quants[4 * row..][..4].copy_from_slice(source);
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    let bytes = &block.quants[4 * row..];
    values[0] = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
}
