//! `QLinearConv`: the sums of `ConvInteger` plus an int32 bias, times `x_scale·w_scale / y_scale` in f32, rounded, ties to even, plus
//! the zero point.

use super::conv_integer::less_zero;
use super::prelude::*;
use crate::program::convolution::Convolution;
use crate::program::price::Price;
use crate::program::scaling::Requantise;

pub static OPERATOR: Operator = Operator {
    name: "QLinearConv",
    domain: "",
    versions: &[10],
    inputs: (8, 9),
    outputs: (1, 1),
    attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w) = (inputs.tensor(0)?, inputs.tensor(3)?);
    let plan = Convolution::new(node, x, w, 3, Price::Steps, context)?;
    let back = Requantise::new(inputs, [1, 4, 6], 7)?;
    context.room(&plan.shape, back.element)?;
    let channels = plan.channels();
    let bias = inputs.integers_or_none(8)?;
    if bias.as_ref().is_some_and(|bias| bias.len() != channels) || ![1, channels].contains(&back.factors.len()) {
        return Err(Problem::shape(4, format!("1 or {channels} scales and biases"), inputs.tensor(4)?.shape()));
    }
    let kernel = w.len() / w.shape()[0].max(1);
    let values = less_zero(inputs, 0, Some(vec![inputs.integer(2)?]), x.len().max(1))?;
    let weights = less_zero(inputs, 3, inputs.integers_or_none(5)?, kernel.max(1))?;
    let sums = plan.sums((&values, &weights, bias.as_deref()), context.crew(), 0, |x, w, sum| x * w + sum, |sum, bias| sum + bias);
    let plane: usize = plan.windows.output.iter().product::<usize>().max(1);
    let with_channel = sums.into_iter().enumerate().map(|(at, sum)| (sum, at / plane % channels.max(1)));
    Ok(vec![back.apply(&plan.shape, with_channel)?.into()])
}
