//! `Conv`: convolution over any number of spatial axes; each sum by fma in the order that `convolution.rs` states.

use super::prelude::*;
use crate::program::convolution::Convolution;
use crate::program::price::Price;

pub static OPERATOR: Operator = Operator {
    name: "Conv",
    domain: "",
    versions: &[1, 11, 22],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let price = Price::of([Some(x), Some(w), bias].into_iter().flatten().map(|array| &**array));
    let plan = Convolution::new(node, x, w, 1, price, context)?;
    context.room(&plan.shape, x.element())?;
    if bias.is_some_and(|bias| bias.shape() != [plan.channels()]) {
        return Err(Problem::shape(2, format!("[{}]", plan.channels()), inputs.tensor(2)?.shape()));
    }
    precision!(x.element(), T => {
        let of = |input, array| T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0"));
        let (values, weights) = (of(0, x)?, of(1, w)?);
        let bias = bias.map(|bias| of(2, bias)).transpose()?;
        let sums = plan.sums((&values, &weights, bias.as_deref()), context.crew(), T::ZERO, |x, w, sum| x.fma(w, sum), |sum, b| sum + b);
        Ok(vec![T::write(x.element(), &plan.shape, sums)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
