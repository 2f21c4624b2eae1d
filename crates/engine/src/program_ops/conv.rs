//! `Conv` in binary32: over padded channels, so that what a place of the kernel meets for neighbouring windows lies side by side.
//!
//! A channel is laid out in phases: with a stride of s, every s-th number makes a plane of its own, and windows that follow each other read
//! numbers that follow each other. All windows of a plane, row by row, are then one line of columns; the columns that lie between two rows of the
//! output are computed and not kept. Few windows turn it round: the output's channels are the columns.

use std::sync::Arc;

use graph::program::{Array, Context, Crew, Data, Element, Inputs, Node, Outcome, Problem, Source};
use graph::program::{
    convolution::{Convolution, Laid, both},
    price::Price,
    window::PADDING,
};

use super::product::{Build, COLUMNS, FAST, Lines, Tile, Whole, columns, product, rows_of_tile, tiles};
use super::{Row, row};
use crate::threads::Cut;

pub const ROW: Row = row!("Conv", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let price = Price::of([Some(x), Some(w), bias].into_iter().flatten().map(|array| &**array));
    if price != Price::Tiles || bias.is_some_and(|bias| bias.rank() != 1) {
        return (node.operator.run)(node, inputs, context);
    }
    let plan = Convolution::shaped(node, x, w, 1, price, context)?;
    let places = context.room(&plan.shape, Element::F32)?;
    if bias.is_some_and(|bias| bias.len() != plan.channels()) {
        return Err(Problem::shape(2, format!("[{}]", plan.channels()), inputs.tensor(2)?.shape()));
    }
    let (Data::F32(values), Data::F32(weights)) = (x.data(), w.data()) else { return Err(Problem::Excluded) };
    let mut sums = vec![0.0; places];
    let windows: usize = plan.windows.output.iter().product();
    let crew = context.crew();
    if windows > 0 && places > 0 {
        match plan.laid() {
            _ if plan.is_turned() => {
                turned::<B>(crew, &plan, (values, &by_input(node, &plan, weights)?), &mut sums);
            }
            Some(laid) => convolve::<B>(crew, (&plan, &Phases::of(&plan, laid)), (values, weights), &mut sums),
            None => gathered::<B>(crew, &plan, (values, weights), &mut sums),
        }
    }
    if let Some(Data::F32(bias)) = bias.map(|bias| bias.data()) {
        crew.rows(&mut sums, windows, windows, |first, sums| {
            for (at, line) in sums.chunks_exact_mut(windows.max(1)).enumerate() {
                line.iter_mut().for_each(|sum| *sum += bias[(first + at) % bias.len()]);
            }
        });
    }
    Ok(vec![Array::f32s(&plan.shape, sums)?.into()])
}

/// How the numbers of a channel lie, seen as rows and columns (one row where there is one spatial axis).
struct Phases {
    input: [usize; 2],
    before: [usize; 2],
    stride: [usize; 2],
    output: [usize; 2],
    /// Rows and columns of the plane of one phase.
    plane: [usize; 2],
    /// Where each place of the kernel begins, for each channel of a group.
    starts: Vec<u32>,
    channel: usize,
    /// Groups that may be laid out at once.
    groups: usize,
    /// The windows, and what lies between two rows of them.
    columns: usize,
}

impl Phases {
    fn of(plan: &Convolution, laid: Laid) -> Self {
        let (windows, Laid { plane, channel, groups }) = (&plan.windows, laid);
        let (kernel, dilation) = (both(&windows.kernel, 1), both(&windows.dilations, 1));
        let (stride, output) = (both(&windows.strides, 1), both(&windows.output, 1));
        let size = plane[0] * plane[1];
        let mut starts = Vec::with_capacity(plan.inputs * kernel[0] * kernel[1]);
        for input in 0..plan.inputs {
            for row in (0..kernel[0]).map(|row| row * dilation[0]) {
                for column in (0..kernel[1]).map(|column| column * dilation[1]) {
                    let phase = row % stride[0] * stride[1] + column % stride[1];
                    let at = row / stride[0] * plane[1] + column / stride[1];
                    starts.push((input * channel + phase * size + at) as u32);
                }
            }
        }
        Self {
            input: both(&windows.input, 1),
            before: both(&windows.before, 0),
            stride,
            output,
            plane,
            starts,
            channel,
            groups,
            columns: plan.columns(&laid),
        }
    }

    /// Lays one channel out.
    fn fill(&self, x: &[f32], out: &mut [f32]) {
        let size = self.plane[0] * self.plane[1];
        for (phase, out) in out.chunks_exact_mut(size).enumerate() {
            let (first, shift) = (phase / self.stride[1], phase % self.stride[1]);
            for (row, line) in out.chunks_exact_mut(self.plane[1]).enumerate() {
                let from = (row * self.stride[0] + first).checked_sub(self.before[0]).filter(|&at| at < self.input[0]);
                let Some(from) = from else { continue };
                let x = &x[from * self.input[1]..][..self.input[1]];
                // The first column that is no padding.
                let skipped = self.before[1].saturating_sub(shift).div_ceil(self.stride[1]);
                let at = skipped * self.stride[1] + shift - self.before[1].min(skipped * self.stride[1] + shift);
                let line = line.iter_mut().skip(skipped);
                match self.stride[1] {
                    1 => line.zip(x.iter().skip(at)).for_each(|(to, &value)| *to = value),
                    step => line.zip(x.iter().skip(at).step_by(step)).for_each(|(to, &value)| *to = value),
                }
            }
        }
    }
}

fn convolve<B: Build>(
    crew: &dyn Crew,
    (plan, phases): (&Convolution, &Phases),
    (values, weights): (&[f32], &[f32]),
    out: &mut [f32],
) {
    let plane: usize = plan.windows.input.iter().product();
    let inner = phases.starts.len();
    let of_group = plan.outputs * phases.output[0] * phases.output[1];
    let one = |group: usize, laid: &mut [f32], out: &mut [f32]| {
        let x = &values[group * plan.inputs * plane..][..plan.inputs * plane];
        let w = &weights[group % plan.groups * plan.outputs * inner..][..plan.outputs * inner];
        convolve_group::<B>(crew, (plan, phases), (x, w), laid, out);
    };
    // The last block reads on behind the last window.
    let laid = || vec![0.0; plan.inputs * phases.channel + COLUMNS];
    // Many groups are shared whole, few in pieces.
    if crew.count() > 1 && plan.batch * plan.groups >= 2 * crew.count() && phases.groups >= crew.count() {
        crew.rows(out, of_group, of_group.saturating_mul(inner) / FAST, |first, out| {
            let mut laid = laid();
            out.chunks_mut(of_group).enumerate().for_each(|(group, out)| one(first + group, &mut laid, out));
        });
    } else {
        let mut laid = laid();
        for (group, out) in crew.watched(out.chunks_mut(of_group), of_group.saturating_mul(inner) / FAST).enumerate() {
            one(group, &mut laid, out);
        }
    }
}

fn convolve_group<B: Build>(
    crew: &dyn Crew,
    (plan, phases): (&Convolution, &Phases),
    (x, w): (&[f32], &[f32]),
    laid: &mut [f32],
    out: &mut [f32],
) {
    // An input of no places is padding alone.
    let plane = (x.len() / plan.inputs.max(1)).max(1);
    let (inner, pitch) = (phases.starts.len(), phases.plane[1]);
    let windows = phases.output[0] * phases.output[1];
    crew.rows(&mut laid[..plan.inputs * phases.channel], phases.channel, phases.channel, |first, laid| {
        let x = x[(first * plane).min(x.len())..].chunks_exact(plane);
        x.zip(laid.chunks_exact_mut(phases.channel)).for_each(|(x, laid)| phases.fill(x, laid));
    });
    let (laid, blocks) = (&*laid, phases.columns.div_ceil(COLUMNS));
    let together = rows_of_tile(crew, plan.outputs, inner, blocks);
    let parts = plan.outputs.div_ceil(together);
    let cut = Cut::new(out, 1);
    tiles(crew, blocks * parts, together * inner * COLUMNS, |tile| {
        let (from, first) = (tile / parts * COLUMNS, tile % parts * together);
        let count = together.min(plan.outputs - first);
        let w = Lines { values: &w[first * inner..], stride: inner };
        columns::<B>(
            w,
            count,
            &laid[from..],
            &phases.starts,
            &mut Whole(|row: usize, sums: &[f32; COLUMNS]| {
                let end = COLUMNS.min(phases.columns - from);
                let mut at = 0;
                while at < end {
                    let (y, x) = ((from + at) / pitch, (from + at) % pitch);
                    let run = (pitch - x).min(end - at);
                    let kept = phases.output[1].saturating_sub(x).min(run);
                    if kept > 0 {
                        let to = (first + row) * windows + y * phases.output[1] + x;
                        // SAFETY: each tile is in one hand, and no two tiles have a row and a window in common.
                        let out = unsafe { cut.part(to, kept) };
                        out.copy_from_slice(&sums[at..][..kept]);
                    }
                    at += run;
                }
            }),
        );
    });
}

/// The weights of each group with the output's channels innermost; kept where they are the model's own, for all nodes that turn them.
fn by_input(node: &Node, plan: &Convolution, weights: &[f32]) -> Result<Arc<Vec<f32>>, Problem> {
    let turn = || {
        let inner = plan.inputs * plan.windows.kernel.iter().product::<usize>();
        let mut turned = vec![0.0; weights.len()];
        for (w, turned) in weights.chunks_exact(plan.outputs * inner).zip(turned.chunks_exact_mut(plan.outputs * inner))
        {
            for (output, line) in w.chunks_exact(inner).enumerate() {
                line.iter().enumerate().for_each(|(k, &weight)| turned[k * plan.outputs + output] = weight);
            }
        }
        turned
    };
    match node.inputs.get(1) {
        Some(Source::Constant(_)) => node.derived.get(|| Ok(turn())),
        _ => Ok(Arc::new(turn())),
    }
}

/// Windows as rows, output channels as columns.
fn turned<B: Build>(crew: &dyn Crew, plan: &Convolution, (values, weights): (&[f32], &[f32]), out: &mut [f32]) {
    let plane: usize = plan.windows.input.iter().product();
    let (windows, patches) = (plan.windows.output.iter().product::<usize>(), plan.windows.patches(crew));
    let kernel = patches.len() / windows;
    let inner = plan.inputs * kernel;
    let mut rows = vec![0.0; windows * inner];
    let mut sums = vec![0.0; windows * plan.outputs];
    for group in 0..plan.batch * plan.groups {
        let x = &values[group * plan.inputs * plane..][..plan.inputs * plane];
        for (row, patch) in rows.chunks_exact_mut(inner).zip(patches.chunks_exact(kernel)) {
            for (places, x) in row.chunks_exact_mut(kernel).zip(x.chunks_exact(plane.max(1))) {
                places
                    .iter_mut()
                    .zip(patch)
                    .for_each(|(to, &at)| *to = if at == PADDING { 0.0 } else { x[at as usize] });
            }
        }
        let w = &weights[group % plan.groups * plan.outputs * inner..][..plan.outputs * inner];
        product::<B>(crew, (&rows, w), [windows, inner, plan.outputs], &mut sums);
        let out = &mut out[group * plan.outputs * windows..][..plan.outputs * windows];
        for (window, sums) in sums.chunks_exact(plan.outputs).enumerate() {
            sums.iter().enumerate().for_each(|(output, &sum)| out[output * windows + window] = sum);
        }
    }
}

/// Any number of spatial axes: the patches of a block of windows lie side by side as columns.
fn gathered<B: Build>(crew: &dyn Crew, plan: &Convolution, (values, weights): (&[f32], &[f32]), out: &mut [f32]) {
    let plane: usize = plan.windows.input.iter().product();
    let patches = plan.windows.patches(crew);
    let kernel: usize = plan.windows.kernel.iter().product();
    let windows: usize = plan.windows.output.iter().product();
    let inner = plan.inputs * kernel;
    let blocks = windows.div_ceil(COLUMNS);
    let together = rows_of_tile(crew, plan.outputs, inner, blocks);
    let parts = plan.outputs.div_ceil(together);
    let cut = Cut::new(out, 1);
    tiles(crew, plan.batch * plan.groups * blocks * parts, together * inner * COLUMNS, |tile| {
        let (group, first) = (tile / parts / blocks, tile % parts * together);
        let from = tile / parts % blocks * COLUMNS;
        let x = &values[group * plan.inputs * plane..][..plan.inputs * plane];
        let w = Lines { values: &weights[(group % plan.groups * plan.outputs + first) * inner..], stride: inner };
        let width = COLUMNS.min(windows - from);
        let patches = &patches[from * kernel..][..width * kernel];
        // SAFETY: each tile is in one hand, and no two tiles have a row and a window in common.
        let tile = unsafe { Tile::new(&cut, (group * plan.outputs + first) * windows + from, windows, width) };
        tile.fill::<B>((w, together.min(plan.outputs - first), inner), |place, lines| {
            for (k, line) in (place..).zip(lines) {
                let (input, place) = (k / kernel * plane, k % kernel);
                for (number, patch) in line.iter_mut().zip(patches.chunks_exact(kernel)) {
                    let at = patch[place];
                    *number = if at == PADDING { 0.0 } else { x[input + at as usize] };
                }
            }
        });
    });
}
