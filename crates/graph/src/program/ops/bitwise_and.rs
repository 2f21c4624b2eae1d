//! `BitwiseAnd`: the bits that both have.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "BitwiseAnd",
    domain: "",
    versions: &[18],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::bitwise(inputs, context, |a, b| a & b),
};
