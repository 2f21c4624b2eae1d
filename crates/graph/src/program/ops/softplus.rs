//! `Softplus`: ln(1 + e^x), as x + ln(1 + e^-x) above 0.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Softplus",
    domain: "",
    versions: &[1, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    elementwise::float(inputs, context, activation, activation)
}

fn activation<T: Real>(x: T) -> T {
    if x > T::ZERO { x + (-x).exp().by(math::ln_one_more) } else { x.exp().by(math::ln_one_more) }
}
