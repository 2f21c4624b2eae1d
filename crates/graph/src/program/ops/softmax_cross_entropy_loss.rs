//! `SoftmaxCrossEntropyLoss`: the weighted negative log-probability of the labels under the softmax of scores; and the log-probabilities.

use super::prelude::*;
use crate::program::loss;

pub static OPERATOR: Operator = Operator {
    name: "SoftmaxCrossEntropyLoss",
    domain: "",
    versions: &[12, 13],
    inputs: (2, 3),
    outputs: (1, 2),
    attributes: &["ignore_index", "reduction"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let logs = loss::log_softmax(inputs, context)?;
    let mut outputs = loss::of_labels(node, inputs, context, &logs)?;
    outputs.push(logs.into());
    Ok(outputs)
}
