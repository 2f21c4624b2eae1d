//! `OptionalGetElement`: the content of an optional, which must have one.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "OptionalGetElement",
    domain: "",
    versions: &[15, 18, 28],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    match inputs.value(0)? {
        Value::Nothing => Err(Problem::Kind { input: 0, expected: "content", found: "an optional without it" }),
        value => Ok(vec![value.clone()]),
    }
}
