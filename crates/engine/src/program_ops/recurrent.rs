//! `LSTM`, `GRU` and `RNN` in binary32: weights turned so that the chains of neighbouring units lie side by side.

use graph::program::{
    Context, Inputs, Node, Outcome,
    ops::{Gru, Lstm, Rnn},
    recurrent::{Cell, Chains, PANEL, run_by},
};

use super::{
    Row,
    product::{Build, FAST},
    row,
};

pub const ROWS: &[Row] = &[row!("LSTM", run, Lstm), row!("GRU", run, Gru), row!("RNN", run, Rnn)];

/// Chains that run at once where weights were not turned, each read from a line of its own. Of a panel all run at once, so that none waits for its
/// own last step.
const LINES: usize = 8;

fn run<B: Build, C: Cell>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let by = Chains {
        turn,
        run: |crew, (weights, x), out| {
            let panel = PANEL * x.len();
            crew.rows(out, PANEL, panel / FAST, |first, out| {
                let weights = &weights[(first * panel).min(weights.len())..];
                B::plain(|| chains(weights, x, out));
            });
        },
        plain: |crew, (weights, x), out| {
            let panel = LINES * x.len();
            crew.rows(out, LINES, panel / FAST, |first, out| {
                let weights = &weights[(first * panel).min(weights.len())..];
                B::plain(|| lines(weights, x, out));
            });
        },
    };
    run_by::<C>(node, inputs, context, Some(by))
}

/// Panels of `PANEL` units, in each the units' weights for one place of x after those for the place before; zeros fill up the last.
fn turn(lines: &[f32], inner: usize) -> Vec<f32> {
    let panel = PANEL * inner;
    let units = lines.len().checked_div(inner).unwrap_or(0);
    let mut turned = vec![0.0; units.div_ceil(PANEL) * panel];
    if inner > 0 {
        for (lines, panel) in lines.chunks(panel).zip(turned.chunks_exact_mut(panel)) {
            for (unit, line) in lines.chunks_exact(inner).enumerate() {
                for (&weight, place) in line.iter().zip(panel.chunks_exact_mut(PANEL)) {
                    place[unit] = weight;
                }
            }
        }
    }
    turned
}

#[inline(always)]
fn chains(weights: &[f32], x: &[f32], out: &mut [f32]) {
    for (panel, out) in weights.chunks(PANEL * x.len().max(1)).zip(out.chunks_mut(PANEL)) {
        let mut sums = [0.0_f32; PANEL];
        for (&x, weights) in x.iter().zip(panel.as_chunks::<PANEL>().0) {
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum = x.mul_add(weight, *sum);
            }
        }
        out.copy_from_slice(&sums[..out.len()]);
    }
}

#[inline(always)]
fn lines(weights: &[f32], x: &[f32], out: &mut [f32]) {
    let inner = x.len();
    for (lines, out) in weights.chunks(LINES * inner.max(1)).zip(out.chunks_mut(LINES)) {
        let mut sums = [0.0_f32; LINES];
        if out.len() == LINES && lines.len() == LINES * inner {
            let lines: [&[f32]; LINES] = std::array::from_fn(|line| &lines[line * inner..][..inner]);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// By which what is kept of constants is counted.
    #[test]
    fn weights_are_turned_in_whole_panels() {
        for units in [1_usize, 63, 64, 65, 200] {
            let lines: Vec<f32> = (0..units * 3).map(|at| at as f32 + 1.0).collect();
            let turned = turn(&lines, 3);
            assert_eq!(turned.len(), units.next_multiple_of(PANEL) * 3);
            for (unit, line) in lines.chunks_exact(3).enumerate() {
                let of = |place: usize| turned[(unit / PANEL * 3 + place) * PANEL + unit % PANEL];
                assert_eq!([0, 1, 2].map(of).as_slice(), line);
            }
        }
    }
}
