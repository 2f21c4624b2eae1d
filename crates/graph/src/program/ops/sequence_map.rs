//! `SequenceMap`: runs its body for each value of the first sequence, with the values at the same place of further sequences and
//! with tensors as they are; gives a sequence for each output of the body.

use std::sync::Arc;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SequenceMap",
    domain: "",
    versions: &[17],
    inputs: (1, MANY),
    outputs: (1, MANY),
    attributes: &["body"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let body = node.body("body")?;
    let rounds = inputs.sequence(0)?.len();
    let mut made: Vec<Vec<Value>> = vec![Vec::new(); body.outputs.len()];
    for round in 0..rounds {
        let given: Result<Vec<Value>, Problem> = (0..inputs.len())
            .map(|input| match inputs.value(input)? {
                Value::Sequence(values) => values
                    .get(round)
                    .cloned()
                    .ok_or_else(|| Problem::value("the length of a sequence", rounds.to_string(), values.len())),
                other => Ok(other.clone()),
            })
            .collect();
        let outputs = context.run_body(body, given?)?;
        made.iter_mut().zip(outputs).for_each(|(all, value)| all.push(value));
    }
    Ok(made.into_iter().map(|values| Value::Sequence(Arc::new(values))).collect())
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    match node.body("body")?.inputs.len() == node.inputs.len() {
        true => Ok(()),
        false => Err(Problem::Attribute { name: "body", expected: "a graph with an input for each of the node's" }),
    }
}
