//! `f16`: IEEE binary16, a column of 16 rows after the other.

use super::{Block, BlockMut, Layout, TILE_ROWS, Weights, half_at, no_groups};

pub static LAYOUT: Layout = Layout {
    name: "f16",
    code: 17,
    weights: Weights::Float,
    columns: 1,
    quants: 2 * TILE_ROWS,
    scales: 0,
    source: 2,
    pack,
    values,
    groups: no_groups,
};

fn pack(source: &[u8], row: usize, block: BlockMut) {
    block.quants[2 * row..][..2].copy_from_slice(source);
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    values[0] = half_at(block.quants, row);
}
