//! The dot products as a plain loop, on activations in pairs.

use super::{BLOCK_GROUPS, Block, Chain, GROUP, ROWS, Sums};

pub fn dots(weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    for (row, sums) in sums.iter_mut().enumerate() {
        *sums = [0; ROWS];
        let words = &x[row * stride..];
        for (group, pair) in weights.chunks_exact(ROWS * GROUP).zip(words.chunks_exact(2)) {
            let low = |word: u32| i32::from((word as u16).cast_signed());
            let high = |word: u32| word.cast_signed() >> 16;
            let x = [low(pair[0]), low(pair[1]), high(pair[0]), high(pair[1])];
            for (sum, weights) in sums.iter_mut().zip(group.chunks_exact(GROUP)) {
                for (weight, x) in weights.iter().zip(x) {
                    *sum += i32::from(*weight) * x;
                }
            }
        }
    }
}

pub fn chains(weights: &[i8], x: &[u32], stride: usize, blocks: &[Block], scales: &[f32], out: &mut [Chain]) {
    for (row, out) in out.iter_mut().enumerate() {
        *out = [0.0; ROWS];
        let of_blocks = weights.chunks_exact(BLOCK_GROUPS * ROWS * GROUP).zip(blocks).enumerate();
        for (block, (weights, Block { scale, .. })) in of_blocks {
            let mut sums = [[0; ROWS]];
            dots(weights, &x[row * stride + block * BLOCK_GROUPS * 2..], BLOCK_GROUPS * 2, &mut sums);
            for ((chain, sum), scale) in out.iter_mut().zip(sums[0]).zip(scale) {
                *chain = (scale * scales[row * blocks.len() + block]).mul_add(sum as f32, *chain);
            }
        }
    }
}
