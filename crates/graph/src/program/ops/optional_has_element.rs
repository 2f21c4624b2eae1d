//! `OptionalHasElement`: whether an optional has content.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "OptionalHasElement",
    domain: "",
    versions: &[15, 18, 28],
    inputs: (0, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    let has = !matches!(inputs.value_or_none(0), None | Some(Value::Nothing));
    Ok(vec![Array::bools(&[], vec![has])?.into()])
}
