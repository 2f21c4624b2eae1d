//! `Transpose`: the axes in another order; without one, reversed.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Transpose",
    domain: "",
    versions: &[1, 13, 21, 23, 24, 25],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["perm"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let order = match node.integers("perm")? {
        None => (0..x.rank()).rev().collect(),
        Some(order) => {
            let found: Result<Vec<usize>, Problem> = order.iter().map(|&axis| index::axis(axis, x.rank())).collect();
            let mut sorted = found.clone()?;
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..x.rank()) {
                return Err(Problem::Attribute { name: "perm", expected: "each axis once" });
            }
            found?
        }
    };
    let strides = index::strides(x.shape());
    let shape: Vec<usize> = order.iter().map(|&axis| x.shape()[axis]).collect();
    let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
    let places = context.room(&shape, x.element())?;
    context.bytes(places as u64 * 8)?;
    Ok(vec![x.take(&shape, &index::walk(&shape, &steps))?.into()])
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let listed = node.integers("perm")?.unwrap_or_default();
    let rank = listed.len() as i64;
    let mut order: Vec<i64> = listed.iter().map(|&axis| if axis < 0 { axis.saturating_add(rank) } else { axis }).collect();
    order.sort_unstable();
    match order.into_iter().eq(0..rank) {
        true => Ok(()),
        false => Err(Problem::Attribute { name: "perm", expected: "each axis once" }),
    }
}
