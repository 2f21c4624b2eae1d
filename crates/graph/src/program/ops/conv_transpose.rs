//! `ConvTranspose`: each output is a chain by fma from +0 over the group's input channels, and within a channel over the kernel's
//! places, in order, that an input reaches it by; the bias is added last.

use super::prelude::*;
use crate::program::transposed::{Axis, ask, axes};
use crate::program::window::image;

pub static OPERATOR: Operator = Operator {
    name: "ConvTranspose",
    domain: "",
    versions: &[1, 11, 22],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let (batch, channels, spatial) = image(x.shape(), 0)?;
    let (all, of_group, kernel) = image(w.shape(), 1)?;
    let groups = usize::try_from(node.integer("group", 1)?).unwrap_or(0);
    if groups == 0 || all != channels || channels % groups != 0 || kernel.len() != spatial.len() || kernel.contains(&0) {
        return Err(Problem::shape(1, format!("{channels} channels in {groups} groups"), w.shape()));
    }
    let axes = axes(node, spatial, kernel)?;
    let mut shape = vec![batch, of_group.saturating_mul(groups)];
    shape.extend(axes.iter().map(|axis| axis.output));
    let outputs = context.room(&shape, x.element())?;
    let places = count(kernel).unwrap_or(usize::MAX) as u64;
    context.spend((outputs as u64).saturating_mul(places).saturating_mul((channels / groups) as u64))?;
    if bias.is_some_and(|bias| bias.shape() != [shape[1]]) {
        return Err(Problem::shape(2, format!("[{}]", shape[1]), inputs.tensor(2)?.shape()));
    }
    let taps = taps(&axes, context)?;
    let (plane, size): (usize, usize) = (spatial.iter().product(), kernel.iter().product());
    precision!(x.element(), T => {
        let of = |input, array| T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0"));
        let (values, weights) = (of(0, x)?, of(1, w)?);
        let bias = bias.map(|bias| of(2, bias)).transpose()?;
        let (crew, inputs) = (context.crew(), channels / groups);
        let all = crew.fill(outputs, inputs.saturating_mul(size * 2), T::ZERO, |at| {
            let (line, taps) = (at / taps.len(), &taps[at % taps.len()]);
            let (batch, output) = (line / shape[1], line % shape[1]);
            let (group, inside) = (output / of_group, output % of_group);
            let of_group = |sum: T, input: usize| {
                let x = &values[(batch * channels + input) * plane..];
                let w = &weights[(input * of_group + inside) * size..];
                taps.iter().fold(sum, |sum, &(place, at)| x[at].fma(w[place], sum))
            };
            let sum = crew.watched(group * inputs..(group + 1) * inputs, size * 2).fold(T::ZERO, of_group);
            bias.as_ref().map_or(sum, |bias| sum + bias[output])
        });
        Ok(vec![T::write(x.element(), &shape, all)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}

/// For each output place, the flat places of kernel and input that meet there.
fn taps(axes: &[Axis], context: &mut Context) -> Result<Vec<Vec<(usize, usize)>>, Problem> {
    let outputs: Vec<usize> = axes.iter().map(|axis| axis.output).collect();
    let inputs: Vec<usize> = axes.iter().map(|axis| axis.input).collect();
    let kernels: Vec<usize> = axes.iter().map(|axis| axis.kernel).collect();
    ask(axes, context)?;
    let mut taps = vec![vec![(0, 0)]];
    for axis in 0..axes.len() {
        let (kernel, input) = (kernels[axis], inputs[axis]);
        let reaching: Vec<Vec<(usize, usize)>> = (0..outputs[axis]).map(|output| axes[axis].reaching(output)).collect();
        let grow = |taps: &Vec<(usize, usize)>| -> Vec<Vec<(usize, usize)>> {
            let one = |list: &Vec<(usize, usize)>| {
                let pairs = taps.iter().flat_map(|&(k, i)| {
                    list.iter().map(move |&(place, at)| (k * kernel + place, i * input + at))
                });
                pairs.collect()
            };
            reaching.iter().map(one).collect()
        };
        taps = taps.iter().flat_map(grow).collect();
    }
    Ok(taps)
}
