//! `Compress`: the slices along an axis, or the elements, whose place is marked; a mark may end early.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Compress",
    domain: "",
    versions: &[9, 11, 28],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, marks) = (inputs.tensor(0)?, inputs.bools(1)?);
    let axis = node.integer_or_none("axis")?.map(|axis| index::axis(axis, x.rank())).transpose()?;
    let around = match axis {
        Some(axis) => Around::new(x.shape(), axis),
        None => Around { outer: 1, size: x.len(), inner: 1 },
    };
    if marks.len() > around.size {
        return Err(Problem::shape(1, format!("at most {} marks", around.size), inputs.tensor(1)?.shape()));
    }
    let kept: Vec<usize> = (0..marks.len()).filter(|&place| marks[place]).collect();
    let mut shape = x.shape().to_vec();
    match axis {
        Some(axis) => shape[axis] = kept.len(),
        None => shape = vec![kept.len()],
    }
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 8)?;
    let mut indices = Vec::with_capacity(total);
    for outer in 0..around.outer {
        for &place in &kept {
            indices.extend((0..around.inner).map(|inner| around.at(outer, place, inner)));
        }
    }
    Ok(vec![x.take(&shape, &indices)?.into()])
}
