//! `SequenceLength`: how many values a sequence has.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SequenceLength",
    domain: "",
    versions: &[11],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    let length = inputs.sequence(0)?.len();
    Ok(vec![Array::i64s(&[], vec![length as i64])?.into()])
}
