//! `Flatten`: the same elements as a matrix: the sizes before an axis, and those from it on.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Flatten",
    domain: "",
    versions: &[1, 9, 11, 13, 21, 23, 24, 25],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axis = node.integer("axis", 1)?;
    // The end of the shape is an axis here too.
    let axis = if axis == x.rank() as i64 { x.rank() } else { index::axis(axis, x.rank())? };
    context.room(x.shape(), x.element())?;
    let (before, behind) = x.shape().split_at(axis);
    Ok(vec![x.reshaped(&[before.iter().product(), behind.iter().product()])?.into()])
}
