//! `Expand`: the tensor broadcast with a shape.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Expand",
    domain: "",
    versions: &[8, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, target) = (inputs.tensor(0)?, inputs.integers(1)?);
    let sizes: Option<Vec<usize>> = target.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = sizes.ok_or_else(|| Problem::value("the shape", "sizes from 0", format!("{target:?}")))?;
    let shape = index::broadcast(x.shape(), &sizes)?;
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 16)?;
    Ok(vec![x.take(&shape, &index::spread(x.shape(), &shape))?.into()])
}
