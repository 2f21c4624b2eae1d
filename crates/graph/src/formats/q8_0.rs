//! `q8_0`: blocks of 32 integers of 8 bits with a binary16 scale.

use super::{BLOCK, Block, BlockMut, Group, Layout, TILE_ROWS, Weights, half_at, multiply_out, place};
use crate::float::{from_half, to_half};

pub static LAYOUT: Layout = Layout {
    name: "q8_0",
    code: 20,
    weights: Weights::Blocks,
    columns: BLOCK,
    quants: BLOCK * TILE_ROWS,
    scales: 2 * TILE_ROWS,
    source: 2 + BLOCK,
    pack,
    values,
    groups,
};

fn pack(source: &[u8], row: usize, block: BlockMut) {
    let (scale, quants) = source.split_at(2);
    block.scales[2 * row..][..2].copy_from_slice(scale);
    for (column, &quant) in quants.iter().enumerate() {
        block.quants[place(column, row)] = quant;
    }
}

fn groups(block: Block, row: usize) -> Vec<Group> {
    let quants = (0..BLOCK).map(|column| block.quants[place(column, row)].cast_signed()).collect();
    vec![Group { scale: half_at(block.scales, row), minimum: None, quants }]
}

fn values(block: Block, row: usize, values: &mut [f32]) {
    multiply_out(&groups(block, row), values);
}

/// A row of floats as blocks: scale `f16(max|w| / 127)`, integers rounded to even. A short last block is filled with
/// zeros.
pub fn quantise(row: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(row.len().div_ceil(BLOCK) * LAYOUT.source);
    for block in row.chunks(BLOCK) {
        let most = block.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
        // A scale beyond binary16 would be infinite; such weights are cut at its greatest value.
        let scale = to_half((most / 127.0).min(65_504.0));
        let unit = from_half(scale);
        let quant = |weight: &f32| {
            if unit > 0.0 { (weight / unit).round_ties_even().clamp(-127.0, 127.0) as i8 } else { 0 }
        };
        bytes.extend(scale.to_le_bytes());
        bytes.extend(block.iter().map(|weight| quant(weight).cast_unsigned()));
        bytes.resize(bytes.len() + BLOCK - block.len(), 0);
    }
    bytes
}
