//! `Conv` in binary32: the patches of a block of windows lie side by side as columns, the weights of a channel are a row.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, Problem};
use graph::program::{convolution::Convolution, window::PADDING};

use super::Row;
use super::product::{Avx2, Avx512, Build, COLUMNS, Portable, columns};

pub const ROW: Row = Row { name: "Conv", portable: run::<Portable>, avx2: run::<Avx2>, avx512: run::<Avx512> };

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let singles = [Some(x), Some(w), bias].into_iter().flatten().all(|array| array.element() == Element::F32);
    if !singles || bias.is_some_and(|bias| bias.rank() != 1) {
        return (node.operator.run)(node, inputs, context);
    }
    let plan = Convolution::new(node, x, w, 1, context)?;
    let places = context.room(&plan.shape, Element::F32)?;
    if bias.is_some_and(|bias| bias.len() != plan.channels()) {
        return Err(Problem::shape(2, format!("[{}]", plan.channels()), inputs.tensor(2)?.shape()));
    }
    let (Data::F32(values), Data::F32(weights)) = (x.data(), w.data()) else { return Err(Problem::Excluded) };
    let mut sums = vec![0.0; places];
    convolve::<B>(&plan, values, weights, &mut sums);
    if let Some(Data::F32(bias)) = bias.map(|bias| bias.data()) {
        let windows = plan.windows.output.iter().product::<usize>().max(1);
        for (at, line) in sums.chunks_exact_mut(windows).enumerate() {
            line.iter_mut().for_each(|sum| *sum += bias[at % bias.len()]);
        }
    }
    Ok(vec![Array::f32s(&plan.shape, sums)?.into()])
}

fn convolve<B: Build>(plan: &Convolution, values: &[f32], weights: &[f32], out: &mut [f32]) {
    let plane: usize = plan.windows.input.iter().product();
    let kernel: usize = plan.windows.kernel.iter().product();
    let windows: usize = plan.windows.output.iter().product();
    let inner = plan.inputs * kernel;
    let mut panel = vec![0.0; inner * COLUMNS];
    for group in 0..plan.batch * plan.groups {
        let x = &values[group * plan.inputs * plane..][..plan.inputs * plane];
        let w = &weights[group % plan.groups * plan.outputs * inner..][..plan.outputs * inner];
        let out = &mut out[group * plan.outputs * windows..][..plan.outputs * windows];
        for from in (0..windows).step_by(COLUMNS) {
            let width = COLUMNS.min(windows - from);
            let patches = &plan.patches[from * kernel..][..width * kernel];
            for (input, lines) in panel.chunks_exact_mut(kernel * COLUMNS).enumerate() {
                let x = &x[input * plane..][..plane];
                for (column, patch) in patches.chunks_exact(kernel).enumerate() {
                    for (place, &at) in patch.iter().enumerate() {
                        let value = if at == PADDING { 0.0 } else { x[at as usize] };
                        lines[place * COLUMNS + column] = value;
                    }
                }
            }
            let into = (&mut out[from..], windows, width);
            columns::<B>(w, (plan.outputs, inner), (&panel, COLUMNS), into);
        }
    }
}
