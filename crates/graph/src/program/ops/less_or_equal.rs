//! `LessOrEqual`: whether the first is less or equal.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "LessOrEqual",
    domain: "",
    versions: &[12, 16],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::compare(inputs, context, |order| order.is_some_and(std::cmp::Ordering::is_le)),
};
