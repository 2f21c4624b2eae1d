//! `Xor`: one and not the other.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Xor",
    domain: "",
    versions: &[7],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::logic(inputs, context, |a, b| a != b),
};
