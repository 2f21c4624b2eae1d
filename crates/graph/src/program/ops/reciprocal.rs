//! `Reciprocal`: 1 / x.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Reciprocal",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, |x| 1.0 / x, |x| 1.0 / x),
};
