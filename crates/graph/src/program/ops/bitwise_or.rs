//! `BitwiseOr`: the bits that either has.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "BitwiseOr",
    domain: "",
    versions: &[18],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::bitwise(inputs, context, |a, b| a | b),
};
