//! `Selu`: gamma·x where x is greater than 0, else gamma·(alpha·e^x - alpha).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Selu",
    domain: "",
    versions: &[6, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["alpha", "gamma"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let alpha = node.float("alpha", 1.673_263_2)?;
    let gamma = node.float("gamma", 1.050_701)?;
    elementwise::float(inputs, context, |x| activation(x, alpha, gamma), |x| activation(x, alpha.into(), gamma.into()))
}

fn activation<T: Real>(x: T, alpha: T, gamma: T) -> T {
    if x > T::ZERO || x.is_nan() { gamma * x } else { gamma * (alpha * x.exp() - alpha) }
}
