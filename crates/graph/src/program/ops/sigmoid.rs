//! `Sigmoid`: 1 / (1 + exp(-x)).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Sigmoid",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, Real::sigmoid, Real::sigmoid),
};
