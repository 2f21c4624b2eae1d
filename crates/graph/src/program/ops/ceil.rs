//! `Ceil`: the least whole number that is not below.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Ceil",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, |x| x.ceil(), |x| x.ceil()),
};
