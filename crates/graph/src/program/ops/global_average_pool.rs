//! `GlobalAveragePool`: the sum from +0, in order, divided by the number of places, over all spatial axes.

use super::prelude::*;
use crate::program::pool::global;

pub static OPERATOR: Operator = Operator {
    name: "GlobalAveragePool",
    domain: "",
    versions: &[1, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let (shape, plane) = global(x)?;
    let lines = context.room(&shape, x.element())?;
    context.spend(x.len() as u64)?;
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let line = |line: usize| values[line * plane..][..plane].iter().copied();
        let pooled = context.crew().fill(lines, plane.saturating_mul(8), T::ZERO, |at| line(at).fold(T::ZERO, |sum, value| sum + value) / T::count(plane));
        Ok(vec![T::write(x.element(), &shape, pooled)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
