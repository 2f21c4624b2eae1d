//! `SwiGLU`: a / (1 + e^(-alpha·a)) times b, place by place.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SwiGLU",
    domain: "",
    versions: &[28],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["alpha"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (gate, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    if gate.shape() != other.shape() || gate.element() != other.element() {
        return Err(Problem::shape(1, format!("{:?} of {}", gate.shape(), gate.element()), other.shape()));
    }
    context.room(gate.shape(), gate.element())?;
    let alpha = node.float("alpha", 1.0)?;
    let product = precision!(gate.element(), T => {
        let (a, b) = (T::read(gate).ok_or(Problem::Excluded)?, T::read(other).ok_or(Problem::Excluded)?);
        let alpha = T::of(alpha.into());
        T::write(gate.element(), gate.shape(), a.iter().zip(b.iter()).map(|(&a, &b)| a * (alpha * a).sigmoid() * b).collect())
    }, else => Err(inputs.element(0, "floats")));
    Ok(vec![product?.into()])
}
