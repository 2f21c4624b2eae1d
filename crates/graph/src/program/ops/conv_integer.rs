//! `ConvInteger`: convolution of 8-bit integers less their zero points, into int32; exact, wrapping at 32 bits.

use super::prelude::*;
use crate::program::convolution::Convolution;
use crate::program::price::Price;

pub static OPERATOR: Operator = Operator {
    name: "ConvInteger",
    domain: "",
    versions: &[10],
    inputs: (2, 4),
    outputs: (1, 1),
    attributes: &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let plan = Convolution::new(node, x, w, 1, Price::Steps, context)?;
    context.room(&plan.shape, Element::I32)?;
    let kernel = w.len() / w.shape()[0].max(1);
    let values = less_zero(inputs, 0, inputs.integers_or_none(2)?, x.len().max(1))?;
    let weights = less_zero(inputs, 1, inputs.integers_or_none(3)?, kernel.max(1))?;
    let sums = plan.sums((&values, &weights, None), context.crew(), 0, |x, w, sum| x * w + sum, |sum, _| sum);
    Ok(vec![Array::wholes(Element::I32, &plan.shape, sums.into_iter().map(i128::from))?.into()])
}

/// Integers less a zero point, or less one for each block of `block` values.
pub(super) fn less_zero(inputs: &Inputs, at: usize, zeros: Option<Vec<i64>>, block: usize) -> Result<Vec<i64>, Problem> {
    let values = inputs.integers(at)?;
    let Some(zeros) = zeros else { return Ok(values) };
    if zeros.len() != 1 && zeros.len() != values.len().div_ceil(block) {
        return Err(Problem::value("the number of zero points", "1 or one a channel", zeros.len()));
    }
    let zero = |place: usize| if zeros.len() == 1 { zeros[0] } else { zeros[place / block] };
    Ok(values.iter().enumerate().map(|(place, value)| value - zero(place)).collect())
}
