//! `Not`: the opposite.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Not",
    domain: "",
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), Element::Bool)?;
    let values = inputs.bools(0)?.iter().map(|value| !value).collect();
    Ok(vec![Array::bools(x.shape(), values)?.into()])
}
