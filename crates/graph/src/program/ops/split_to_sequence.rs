//! `SplitToSequence`: a tensor cut along an axis into parts of given sizes, of one size (the last may be smaller), or of 1, and
//! then without the axis unless `keepdims` says otherwise.

use std::sync::Arc;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SplitToSequence",
    domain: "",
    versions: &[11, 24],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["axis", "keepdims"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axis = index::axis(node.integer("axis", 0)?, x.rank())?;
    let size = x.shape()[axis];
    let stated = inputs.tensor_or_none(1)?;
    let parts: Vec<usize> = match stated {
        None => vec![1; size],
        Some(array) => {
            let sizes: Result<Vec<usize>, Problem> = inputs.integers(1)?.into_iter().map(index::size).collect();
            match (array.rank(), sizes?.as_slice()) {
                (0, [0]) => return Err(Problem::value("the size of a part", "1 or more", 0)),
                (0, [one]) => (0..size).step_by(*one).map(|start| (*one).min(size - start)).collect(),
                (_, sizes) => sizes.to_vec(),
            }
        }
    };
    if parts.iter().try_fold(0_usize, |all, &part| all.checked_add(part)) != Some(size) {
        return Err(Problem::value("the sum of the parts", size.to_string(), format!("{parts:?}")));
    }
    let squeeze = stated.is_none() && !node.flag("keepdims", true)?;
    let mut start = 0;
    let mut values = Vec::new();
    for part in parts {
        let mut array = cut(x, axis, start, part, context)?;
        start += part;
        if squeeze {
            let mut shape = array.shape().to_vec();
            shape.remove(axis);
            array = array.reshaped(&shape)?;
        }
        values.push(array.into());
    }
    Ok(vec![Value::Sequence(Arc::new(values))])
}

/// The part of a tensor from `start` on along an axis.
pub(in crate::program) fn cut(x: &Array, axis: usize, start: usize, part: usize, context: &mut Context) -> Result<Array, Problem> {
    let mut shape = x.shape().to_vec();
    shape[axis] = part;
    let places = context.room(&shape, x.element())?;
    context.bytes(places as u64 * 8)?;
    let steps = index::strides(x.shape());
    let first = start * steps[axis];
    let indices: Vec<usize> = index::walk(&shape, &steps).into_iter().map(|at| at + first).collect();
    x.take(&shape, &indices)
}
