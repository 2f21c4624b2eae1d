//! `Gather`: slices along an axis, by indices that count from the end where negative.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Gather",
    domain: "",
    versions: &[1, 11, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, places) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let axis = index::axis(node.integer("axis", 0)?, x.rank())?;
    let around = Around::new(x.shape(), axis);
    let picked: Result<Vec<usize>, Problem> =
        inputs.integers(1)?.into_iter().map(|place| index::axis(place, around.size)).collect();
    let picked = picked?;
    let shape = [&x.shape()[..axis], places.shape(), &x.shape()[axis + 1..]].concat();
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 8)?;
    let mut indices = Vec::with_capacity(total);
    for outer in 0..around.outer {
        for &place in &picked {
            indices.extend((0..around.inner).map(|inner| around.at(outer, place, inner)));
        }
    }
    Ok(vec![x.take(&shape, &indices)?.into()])
}
