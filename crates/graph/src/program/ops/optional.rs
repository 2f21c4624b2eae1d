//! `Optional`: its input, or an optional without content.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Optional",
    domain: "",
    versions: &[15, 28],
    inputs: (0, 1),
    outputs: (1, 1),
    attributes: &["type"],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    Ok(vec![inputs.value_or_none(0).cloned().unwrap_or(Value::Nothing)])
}
