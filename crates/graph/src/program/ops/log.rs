//! `Log`: the natural logarithm, of f64, rounded once.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Log",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::by(inputs, context, math::ln),
};
