//! `BitwiseNot`: the bits that are not there.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "BitwiseNot",
    domain: "",
    versions: &[18],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), x.element())?;
    let values = x.integers().filter(|_| x.element().family() == Family::Whole);
    let values = values.ok_or_else(|| inputs.element(0, "integers"))?;
    Ok(vec![Array::wholes(x.element(), x.shape(), values.into_iter().map(|value| !value))?.into()])
}
