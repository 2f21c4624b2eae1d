//! `SequenceAt`: the value at a place, counted from the end where negative.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SequenceAt",
    domain: "",
    versions: &[11],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    let values = inputs.sequence(0)?;
    let place = index::axis(inputs.integer(1)?, values.len())?;
    Ok(vec![values.get(place).cloned().ok_or(Problem::Excluded)?])
}
