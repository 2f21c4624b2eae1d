//! `If`: runs one of two bodies.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "If",
    domain: "",
    versions: &[1, 11, 13, 16, 19, 21, 23, 24, 25],
    inputs: (1, 1),
    outputs: (1, MANY),
    attributes: &["else_branch", "then_branch"],
    run: |node, inputs, context| {
        let branch = if inputs.bool(0)? { "then_branch" } else { "else_branch" };
        context.run_body(node.body(branch)?, Vec::new())
    },
};
