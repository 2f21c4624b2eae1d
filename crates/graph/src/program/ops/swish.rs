//! `Swish`: x / (1 + e^(-alpha·x)).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Swish",
    domain: "",
    versions: &[24],
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
    x * (alpha * x).sigmoid()
}
