//! `SequenceInsert`: a sequence with one value more, at a place, at the end where none is said.

use std::sync::Arc;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SequenceInsert",
    domain: "",
    versions: &[11],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    let mut values = inputs.sequence(0)?.as_ref().clone();
    let place = match inputs.integer_or_none(2)? {
        Some(place) if place != values.len() as i64 => index::axis(place, values.len())?,
        _ => values.len(),
    };
    values.insert(place, inputs.value(1)?.clone());
    Ok(vec![Value::Sequence(Arc::new(values))])
}
