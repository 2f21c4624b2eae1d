//! `Squeeze`: the same elements without some sizes of 1, or all of them.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Squeeze",
    domain: "",
    versions: &[1, 11, 13, 21, 23, 24, 25],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["axes"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let stated = match inputs.integers_or_none(1)? {
        Some(axes) => Some(axes),
        None => node.integers("axes")?.map(<[i64]>::to_vec),
    };
    let axes = match stated {
        Some(axes) => index::axes(&axes, x.rank())?,
        None => (0..x.rank()).filter(|&axis| x.shape()[axis] == 1).collect(),
    };
    if axes.iter().any(|&axis| x.shape()[axis] != 1) {
        return Err(Problem::shape(0, format!("sizes of 1 at the axes {axes:?}"), x.shape()));
    }
    context.room(x.shape(), x.element())?;
    let kept = x.shape().iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    let shape: Vec<usize> = kept.map(|(_, &size)| size).collect();
    Ok(vec![x.reshaped(&shape)?.into()])
}
