//! `RandomUniformLike`: uniform numbers by place, of a seed, in the shape of the input.

use super::prelude::*;
use crate::program::random;

pub static OPERATOR: Operator = Operator {
    name: "RandomUniformLike",
    domain: "",
    versions: &[1, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["dtype", "high", "low", "seed"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    random::uniforms(node, context, x.shape(), x.element())
}
