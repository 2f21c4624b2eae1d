//! `SequenceErase`: a sequence without the value at a place, the last where none is said.

use std::sync::Arc;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SequenceErase",
    domain: "",
    versions: &[11],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    let mut values = inputs.sequence(0)?.as_ref().clone();
    let place = index::axis(inputs.integer_or_none(1)?.unwrap_or(-1), values.len())?;
    values.remove(place);
    Ok(vec![Value::Sequence(Arc::new(values))])
}
