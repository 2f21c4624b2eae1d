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

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let wanted = (0..node.outputs.len()).filter(|&output| node.wants(output)).max().map_or(0, |last| last + 1);
    for name in ["then_branch", "else_branch"] {
        let body = node.body(name)?;
        if !body.inputs.is_empty() || body.outputs.len() < wanted {
            return Err(Problem::Attribute { name, expected: "a graph without inputs that gives all outputs" });
        }
    }
    Ok(())
}
