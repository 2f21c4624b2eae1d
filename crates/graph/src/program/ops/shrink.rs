//! `Shrink`: x + bias below -lambd, x - bias above lambd, else 0; integers by f64, toward zero.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Shrink",
    domain: "",
    versions: &[9],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["bias", "lambd"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (bias, threshold) = (node.float("bias", 0.0)?, node.float("lambd", 0.5)?);
    elementwise::number(
        inputs,
        context,
        |x| shrink(x, bias, threshold),
        |x| shrink(x, bias.into(), threshold.into()),
        |x| shrink(x as f64, bias.into(), threshold.into()) as i128,
    )
}

fn shrink<T: Real>(x: T, bias: T, threshold: T) -> T {
    if x < -threshold {
        x + bias
    } else if x > threshold {
        x - bias
    } else {
        T::ZERO
    }
}
