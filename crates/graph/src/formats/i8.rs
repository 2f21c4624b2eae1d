//! `i8`: plain integers in blocks of 64 columns, groups of 4 columns of 16 rows side by side.

use super::{Block, BlockMut, Layout, TILE_ROWS, Weights, no_groups, place};

const COLUMNS: usize = 64;

pub static LAYOUT: Layout = Layout {
    name: "i8",
    code: 19,
    weights: Weights::Integer,
    columns: COLUMNS,
    quants: COLUMNS * TILE_ROWS,
    scales: 0,
    source: COLUMNS,
    pack,
    values,
    groups: no_groups,
};

fn pack(source: &[u8], row: usize, block: BlockMut) {
    for (column, &byte) in source.iter().enumerate() {
        block.quants[place(column, row)] = byte;
    }
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    for (column, value) in values.iter_mut().enumerate() {
        *value = f32::from(block.quants[place(column, row)].cast_signed());
    }
}
