//! `HardSigmoid`: alpha·x + beta, cut to 0 and 1.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "HardSigmoid",
    domain: "",
    versions: &[6, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["alpha", "beta"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let alpha = node.float("alpha", 0.2)?;
    let beta = node.float("beta", 0.5)?;
    elementwise::float(inputs, context, |x| activation(x, alpha, beta), |x| activation(x, alpha.into(), beta.into()))
}

fn activation<T: Real>(x: T, alpha: T, beta: T) -> T {
    (alpha * x + beta).greater(T::ZERO).lesser(T::ONE)
}
