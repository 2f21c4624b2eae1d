//! `And`: both.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "And",
    domain: "",
    versions: &[1, 7],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis", "broadcast"],
    run: |_, inputs, context| elementwise::logic(inputs, context, |a, b| a && b),
};
