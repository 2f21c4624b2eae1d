//! `BitShift`: integers shifted by as many bits as the second says; all bits go where it is too many.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "BitShift",
    domain: "",
    versions: &[11, 28],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["direction"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let bits = inputs.tensor(0)?.element().bits() as i128;
    if inputs.tensor(1)?.integers().is_some_and(|places| places.iter().any(|&places| places < 0 || places > bits)) {
        let amounts = Problem::value("a shift", format!("0 to {bits}"), "beyond");
        return Err(amounts);
    }
    match node.text("direction", "")? {
        "LEFT" => elementwise::bitwise(inputs, context, |a, places| a << places),
        "RIGHT" => elementwise::bitwise(inputs, context, |a, places| a >> places),
        other => Err(Problem::value("attribute direction", "LEFT or RIGHT", other)),
    }
}
