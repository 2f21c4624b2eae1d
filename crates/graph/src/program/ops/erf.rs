//! `Erf`: the error function, of f64, rounded once.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Erf",
    domain: "",
    versions: &[9, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::by(inputs, context, math::erf),
};
