//! `IsNaN`: whether a float is not a number.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "IsNaN",
    domain: "",
    versions: &[9, 13, 20],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), Element::Bool)?;
    let values = x.doubles().ok_or_else(|| inputs.element(0, "floats"))?;
    Ok(vec![Array::bools(x.shape(), values.iter().map(|value| value.is_nan()).collect())?.into()])
}
