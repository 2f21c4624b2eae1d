//! `Sinh`: the hyperbolic sine, of f64, rounded once.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Sinh",
    domain: "",
    versions: &[9, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::by(inputs, context, math::sinh),
};
