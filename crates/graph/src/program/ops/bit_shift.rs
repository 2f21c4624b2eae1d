//! `BitShift`: integers shifted by as many bits as the second says; where those are negative or too many, only the sign that a right shift extends is left.

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
    match node.text("direction", "")? {
        // An i128 holds all bits of any element shifted by as many; what is beyond the element's is cut.
        "LEFT" => elementwise::bitwise(inputs, context, |a, places| if (0..64).contains(&places) { a << places } else { 0 }),
        "RIGHT" => elementwise::bitwise(inputs, context, |a, places| a >> if (0..64).contains(&places) { places } else { 127 }),
        other => Err(Problem::value("attribute direction", "LEFT or RIGHT", other)),
    }
}
