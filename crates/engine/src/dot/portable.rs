//! A panel times activations in plain words: what the other levels are held against.

use super::{
    BLOCK, Chain, Corner, ROWS,
    blocks::Blocks,
    panel::{BLOCK_BYTES, Panel, Steps, Values},
};

/// Takes a chain of 16 outputs for each row of activations through the panel's blocks, from a corner of both on.
pub fn multiply(panel: &Panel, x: &Blocks, from: Corner, chains: &mut [Chain]) {
    let blocks = panel.checked_blocks();
    for (index, chains) in chains.chunks_mut(ROWS).enumerate() {
        let group = x.group(from.group + index, from.block);
        group.assert_blocks(blocks);
        for (row, chain) in chains.iter_mut().enumerate() {
            for block in 0..blocks {
                let cell = block * group.width + row;
                let quants = &group.quants[cell * BLOCK..][..BLOCK];
                let bytes = &panel.bytes[block * BLOCK_BYTES..][..BLOCK_BYTES];
                let steps = if panel.steps == Steps::Halves { 2 } else { 1 };
                for step in 0..steps {
                    let columns = BLOCK / steps * step..BLOCK / steps * (step + 1);
                    let scales = &panel.scales[(block * steps + step) * ROWS..][..ROWS];
                    for (output, (chain, scale)) in chain.iter_mut().zip(scales).enumerate() {
                        let weight = |column: usize| weight(panel.values, bytes, column, output);
                        let dot: i32 = columns.clone().map(|column| i32::from(quants[column]) * weight(column)).sum();
                        *chain = (scale * group.scales[cell]).mul_add(dot as f32, *chain);
                    }
                }
                if panel.steps == Steps::Minimum {
                    for (chain, minimum) in chain.iter_mut().zip(&panel.minima[block * ROWS..]) {
                        *chain = minimum.mul_add(group.sums[cell], *chain);
                    }
                }
            }
        }
    }
}

fn weight(values: Values, bytes: &[u8], column: usize, output: usize) -> i32 {
    let byte = bytes[(column / 4 * ROWS + output) * 4 + column % 4];
    match values {
        Values::Signed => i32::from(byte.cast_signed()),
        Values::Nibbles { offset } => i32::from(byte) - offset,
    }
}
