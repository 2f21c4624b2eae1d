//! `q6_k`: superblocks of 256 columns: integers of 6 bits, from -32, in groups of 16 with 8-bit scales.
//!
//! Nibbles lie as in `q4_k`; a byte behind them holds the upper two bits of four sub-blocks' same column.

use super::{
    BLOCK, Block, BlockMut, Group, Layout, TILE_ROWS, Weights, half_at,
    kquant::{COLUMNS, NIBBLES, SUB_BYTES, nibble, nibble_place},
    multiply_out, place,
};

/// Columns that share a scale.
const GROUP: usize = 16;
const GROUPS: usize = COLUMNS / GROUP;
/// Bytes of the upper bits of a superblock of 16 rows.
const UPPERS: usize = COLUMNS / 4 * TILE_ROWS;

pub static LAYOUT: Layout = Layout {
    name: "q6_k",
    code: 24,
    weights: Weights::Blocks,
    columns: COLUMNS,
    quants: NIBBLES + UPPERS,
    scales: (2 + GROUPS) * TILE_ROWS,
    source: 210,
    pack,
    values,
    groups,
};

/// The byte and the shift of a column's upper bits.
fn upper_place(sub: usize, column: usize, row: usize) -> (usize, usize) {
    (NIBBLES + sub / 4 * SUB_BYTES + place(column, row), sub % 4 * 2)
}

/// The source's own order: for each half of 128 columns 64 bytes of nibbles and 32 bytes of upper bits.
fn pack(source: &[u8], row: usize, block: BlockMut) {
    let (nibbles, rest) = source.split_at(128);
    let (uppers, rest) = rest.split_at(64);
    let (scales, half) = rest.split_at(GROUPS);
    for sub in 0..COLUMNS / BLOCK {
        let (half, quarter) = (sub / 4, sub % 4);
        for column in 0..BLOCK {
            let low = nibbles[half * 64 + quarter % 2 * BLOCK + column] >> (quarter / 2 * 4) & 15;
            let upper = uppers[half * BLOCK + column] >> (quarter * 2) & 3;
            let (at, shift) = nibble_place(sub, column, row);
            block.quants[at] |= low << shift;
            let (at, shift) = upper_place(sub, column, row);
            block.quants[at] |= upper << shift;
        }
    }
    block.scales[2 * row..][..2].copy_from_slice(half);
    for (group, &scale) in scales.iter().enumerate() {
        block.scales[(2 + group) * TILE_ROWS + row] = scale;
    }
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let quant = |column: usize| {
        let (sub, column) = (column / BLOCK, column % BLOCK);
        let (at, shift) = upper_place(sub, column, row);
        let upper = block.quants[at] >> shift & 3;
        (nibble(block.quants, sub, column, row) | upper << 4).cast_signed() - 32
    };
    let group = |group: usize| {
        let factor = block.scales[(2 + group) * TILE_ROWS + row].cast_signed();
        let quants = (group * GROUP..(group + 1) * GROUP).map(quant).collect();
        Group { scale: half_at(block.scales, row) * f32::from(factor), minimum: None, quants }
    };
    (0..GROUPS).map(group).collect()
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
