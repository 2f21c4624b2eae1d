//! `SequenceConstruct`: a sequence of its inputs.

use std::sync::Arc;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SequenceConstruct",
    domain: "",
    versions: &[11],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, _: &mut Context) -> Outcome {
    let values: Result<Vec<Value>, Problem> = (0..inputs.len()).map(|input| inputs.value(input).cloned()).collect();
    Ok(vec![Value::Sequence(Arc::new(values?))])
}
