//! The dot products as a plain loop, on activations in pairs.

use super::{GROUP, ROWS, Sums};

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
