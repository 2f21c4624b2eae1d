//! `q5_k`: as `q4_k`, each integer with a fifth bit.
//!
//! The fifth bits of a group's 64 bytes are one 64-bit number: bit `row · 4 + column`.

use super::{
    BLOCK, Block, BlockMut, Group, Layout, Weights,
    kquant::{COLUMNS, NIBBLES, SCALES, SUBS, nibble, pack_nibbles, pack_scales, scale},
    multiply_out, pairs,
};

pub static LAYOUT: Layout = Layout {
    name: "q5_k",
    code: 23,
    weights: Weights::Blocks,
    columns: COLUMNS,
    quants: NIBBLES + SUBS * pairs::FIFTHS,
    scales: SCALES,
    source: 176,
    pack,
    values,
    groups,
};

/// The byte and the bit of it that hold a fifth bit.
fn fifth_place(sub: usize, column: usize, row: usize) -> (usize, usize) {
    let (at, bit) = pairs::fifth_place(column, row);
    (NIBBLES + sub * pairs::FIFTHS + at, bit)
}

fn pack(source: &[u8], row: usize, mut block: BlockMut) {
    pack_scales(&source[..4], &source[4..16], row, &mut block);
    pack_nibbles(&source[48..], row, block.quants);
    for (column, &fifths) in source[16..48].iter().enumerate() {
        for sub in 0..SUBS {
            let (at, bit) = fifth_place(sub, column, row);
            block.quants[at] |= (fifths >> sub & 1) << bit;
        }
    }
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let group = |sub: usize| {
        let (scale, minimum) = scale(block, sub, row);
        let quant = |column: usize| {
            let (at, bit) = fifth_place(sub, column, row);
            (nibble(block.quants, sub, column, row) | (block.quants[at] >> bit & 1) << 4).cast_signed()
        };
        Group { scale, minimum: Some(minimum), quants: (0..BLOCK).map(quant).collect() }
    };
    (0..SUBS).map(group).collect()
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}
