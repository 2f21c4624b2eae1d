//! `GatherElements`: for each place the element whose index along an axis is given there.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "GatherElements",
    domain: "",
    versions: &[11, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, places) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let axis = index::axis(node.integer("axis", 0)?, x.rank())?;
    let flat = super::scatter_elements::places(x, places, &inputs.integers(1)?, axis, context)?;
    context.room(places.shape(), x.element())?;
    Ok(vec![x.take(places.shape(), &flat)?.into()])
}
