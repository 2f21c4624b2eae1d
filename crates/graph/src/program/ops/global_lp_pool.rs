//! `GlobalLpPool`: the p-th root of the sum from +0 of magnitudes to the power p, over all spatial axes.

use super::prelude::*;
use super::lp_pool::{raised, root};
use crate::program::pool::global;

pub static OPERATOR: Operator = Operator {
    name: "GlobalLpPool",
    domain: "",
    versions: &[2, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["p"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let power = node.integer("p", 2)?;
    let (shape, plane) = global(x)?;
    let lines = context.room(&shape, x.element())?;
    context.spend(x.len() as u64)?;
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let line = |line: usize| values[line * plane..][..plane].iter().copied();
        let pooled = context.crew().fill(lines, plane.saturating_mul(8), T::ZERO, |at| root(line(at).fold(T::ZERO, |sum, value| sum + raised(value, power)), power));
        Ok(vec![T::write(x.element(), &shape, pooled)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
