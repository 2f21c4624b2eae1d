//! `bf16`: the upper half of IEEE binary32, a column of 16 rows after the other.

use super::{Block, BlockMut, Layout, TILE_ROWS, Weights, no_groups};

pub static LAYOUT: Layout = Layout {
    name: "bf16",
    code: 18,
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
    let bytes = &block.quants[2 * row..];
    values[0] = f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16);
}
