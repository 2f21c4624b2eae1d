//! `Mish`: x·tanh(ln(1 + e^x)).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Mish",
    domain: "",
    versions: &[18, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    elementwise::float(inputs, context, activation, activation)
}

fn activation<T: Real>(x: T) -> T {
    let softplus = if x > T::ZERO { x + (-x).exp().by(math::ln_one_more) } else { x.exp().by(math::ln_one_more) };
    x * softplus.tanh()
}
