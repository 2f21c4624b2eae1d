//! `LeakyRelu`: x where it is not below 0, else alpha·x.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "LeakyRelu",
    domain: "",
    versions: &[6, 16],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["alpha"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let alpha = node.float("alpha", 0.01)?;
    elementwise::float(inputs, context, |x| activation(x, alpha), |x| activation(x, alpha.into()))
}

fn activation<T: Real>(x: T, alpha: T) -> T {
    if x < T::ZERO { alpha * x } else { x }
}
