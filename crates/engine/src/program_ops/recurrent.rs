//! `LSTM`, `GRU` and `RNN` in binary32: the chains of many units side by side.

use graph::program::{
    Context, Inputs, Node, Outcome,
    ops::{Gru, Lstm, Rnn},
    recurrent::{Cell, run_by},
};

use super::{Row, product::Build, row};

pub const ROWS: &[Row] = &[row!("LSTM", run, Lstm), row!("GRU", run, Gru), row!("RNN", run, Rnn)];

/// Chains that run at once, so that none waits for its own last step.
const TOGETHER: usize = 8;

fn run<B: Build, C: Cell>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    run_by::<C>(node, inputs, context, |weights, x, out| B::plain(|| chains(weights, x, out)))
}

#[inline(always)]
fn chains(weights: &[f32], x: &[f32], out: &mut [f32]) {
    let inner = x.len();
    for (lines, out) in weights.chunks(TOGETHER * inner.max(1)).zip(out.chunks_mut(TOGETHER)) {
        let mut sums = [0.0_f32; TOGETHER];
        if out.len() == TOGETHER && lines.len() == TOGETHER * inner {
            let lines: [&[f32]; TOGETHER] = std::array::from_fn(|line| &lines[line * inner..][..inner]);
            for (k, &x) in x.iter().enumerate() {
                for (sum, line) in sums.iter_mut().zip(&lines) {
                    *sum = x.mul_add(line[k], *sum);
                }
            }
        } else {
            for (sum, line) in sums.iter_mut().zip(lines.chunks_exact(inner.max(1))) {
                *sum = x.iter().zip(line).fold(0.0, |sum, (&x, &weight)| x.mul_add(weight, sum));
            }
        }
        out.copy_from_slice(&sums[..out.len()]);
    }
}
