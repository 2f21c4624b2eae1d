//! `Unsqueeze`: axes of size 1 inserted where `axes` says (an attribute before version 13, then an input).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Unsqueeze",
    domain: "",
    versions: &[1, 11, 13, 21, 23, 24, 25],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["axes"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axes = match node.integers("axes")? {
        Some(axes) => axes.to_vec(),
        None => inputs.integers(1)?,
    };
    let axes = index::axes(&axes, x.rank() + axes.len())?;
    let mut shape = x.shape().to_vec();
    axes.iter().for_each(|&axis| shape.insert(axis, 1));
    context.room(&shape, x.element())?;
    Ok(vec![x.reshaped(&shape)?.into()])
}
