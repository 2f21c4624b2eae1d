//! `LpPool`: the p-th root of the sum from +0, in order, of a window's magnitudes to the power p.

use super::prelude::*;
use crate::program::pool::Pooling;

pub static OPERATOR: Operator = Operator {
    name: "LpPool",
    domain: "",
    versions: &[2, 11, 18, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let power = node.integer("p", 2)?;
    let pooling = Pooling::new(node, x, context)?;
    context.room(&pooling.shape, x.element())?;
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let norms = pooling.each(&values, context.crew(), |_, plane, taps| {
            root(taps.iter().fold(T::ZERO, |sum, &(_, at)| sum + raised(plane[at as usize], power)), power)
        });
        Ok(vec![T::write(x.element(), &pooling.shape, norms)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}

/// The magnitude to a power.
pub(super) fn raised<T: Real>(value: T, power: i64) -> T {
    match power {
        1 => value.magnitude(),
        2 => value * value,
        power => T::of(math::pow(value.magnitude().wide(), power as f64)),
    }
}

/// The root of a power.
pub(super) fn root<T: Real>(sum: T, power: i64) -> T {
    match power {
        1 => sum,
        2 => sum.square_root(),
        power => T::of(math::pow(sum.wide(), 1.0 / power as f64)),
    }
}
