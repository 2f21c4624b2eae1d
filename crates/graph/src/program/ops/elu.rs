//! `Elu`: x where it is greater than 0, else alpha·(e^x - 1).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Elu",
    domain: "",
    versions: &[6, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["alpha"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let alpha = node.float("alpha", 1.0)?;
    elementwise::float(inputs, context, |x| activation(x, alpha), |x| activation(x, alpha.into()))
}

fn activation<T: Real>(x: T, alpha: T) -> T {
    if x > T::ZERO || x.is_nan() { x } else { alpha * x.by(math::exp_less_one) }
}
