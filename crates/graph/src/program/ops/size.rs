//! `Size`: the number of elements.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Size",
    domain: "",
    versions: &[1, 13, 19, 21, 23, 24, 25],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    Ok(vec![Array::i64s(&[], vec![inputs.tensor(0)?.len() as i64])?.into()])
}
