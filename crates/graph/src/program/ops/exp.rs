//! `Exp`: e to the power of each element.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Exp",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, Real::exp, Real::exp),
};
