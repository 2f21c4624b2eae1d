//! `AveragePool`: the sum of a window from +0, in order, divided by how many places it has (with `count_include_pad`, by how many
//! it has on the input and its padding).

use super::prelude::*;
use crate::program::pool::Pooling;

pub static OPERATOR: Operator = Operator {
    name: "AveragePool",
    domain: "",
    versions: &[1, 7, 10, 11, 19, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let pooling = Pooling::new(node, x, context)?;
    let windows = context.room(&pooling.shape, x.element())?;
    let padded = node.flag("count_include_pad", false)?;
    context.spend(windows as u64)?;
    let per_line: usize = pooling.windows.output.iter().product();
    let counts: Vec<usize> = match padded {
        true => context.crew().fill(per_line, 64, 0, |window| pooling.windows.padded_count(window)),
        false => pooling.taps.windows().map(<[_]>::len).collect(),
    };
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let means = pooling.each(&values, context.crew(), |window, plane, taps| {
            let sum = taps.iter().fold(T::ZERO, |sum, &(_, at)| sum + plane[at as usize]);
            sum / T::count(counts[window])
        });
        Ok(vec![T::write(x.element(), &pooling.shape, means)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
