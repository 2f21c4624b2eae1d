//! `ScatterElements`: updates at the places whose index along an axis is given, one after the other; joined as the attribute says.

use super::prelude::*;
use crate::program::scatter::{Join, scatter};

pub static OPERATOR: Operator = Operator {
    name: "ScatterElements",
    domain: "",
    versions: &[11, 13, 16, 18],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["axis", "reduction"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, indices, updates) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let axis = index::axis(node.integer("axis", 0)?, x.rank())?;
    if indices.shape() != updates.shape() {
        return Err(Problem::shape(2, format!("{:?}", indices.shape()), updates.shape()));
    }
    let flat = places(x, indices, &inputs.integers(1)?, axis, context)?;
    context.room(x.shape(), x.element())?;
    context.bytes(x.len() as u64 * 8)?;
    let join = Join::named(node.text("reduction", "none")?)?;
    Ok(vec![scatter(x, &flat, updates, join)?.into()])
}

/// The flat places in `x` that indices along an axis name, for each place of the indices' shape.
pub(super) fn places(x: &Array, indices: &Array, values: &[i64], axis: usize, context: &mut Context) -> Result<Vec<usize>, Problem> {
    let fits = |(place, (&own, &size)): (usize, (&usize, &usize))| place == axis || size <= own;
    if indices.rank() != x.rank() || !x.shape().iter().zip(indices.shape()).enumerate().all(fits) {
        return Err(Problem::shape(1, format!("at most {:?} but for axis {axis}", x.shape()), indices.shape()));
    }
    context.bytes(indices.len() as u64 * 16)?;
    let mut steps = index::strides(x.shape());
    let step = std::mem::replace(&mut steps[axis], 0);
    let bases = index::walk(indices.shape(), &steps);
    let place = |(base, &value): (usize, &i64)| Ok(base + index::axis(value, x.shape()[axis])? * step);
    bases.into_iter().zip(values).map(place).collect()
}
