//! `SequenceEmpty`: a sequence without values.

use std::sync::Arc;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SequenceEmpty",
    domain: "",
    versions: &[11],
    inputs: (0, 0),
    outputs: (1, 1),
    attributes: &["dtype"],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    debug_assert!(inputs.is_empty());
    Ok(vec![Value::Sequence(Arc::new(Vec::new()))])
}
