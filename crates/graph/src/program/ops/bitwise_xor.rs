//! `BitwiseXor`: the bits that one has.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "BitwiseXor",
    domain: "",
    versions: &[18],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::bitwise(inputs, context, |a, b| a ^ b),
};
