//! `Mean`: the sum, from the first to the last, divided by their number.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Mean",
    domain: "",
    versions: &[6, 8, 13],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let sum = elementwise::variadic(inputs, context, &RULE)?;
    let element = sum.element();
    let mean = precision!(element, T => {
        let count = T::count(inputs.len());
        let values = T::read(&sum).ok_or(Problem::Excluded)?;
        T::write(element, sum.shape(), values.iter().map(|&value| value / count).collect())
    }, else => Err(inputs.element(0, "floats")));
    Ok(vec![mean?.into()])
}

const RULE: Arithmetic = Arithmetic { single: |a, b| a + b, double: |a, b| a + b, whole: |_, _| Err(Problem::Excluded) };
