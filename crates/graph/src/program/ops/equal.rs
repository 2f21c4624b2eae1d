//! `Equal`: whether two values are equal; a NaN is equal to nothing.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Equal",
    domain: "",
    versions: &[1, 7, 11, 13, 19],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis", "broadcast"],
    run: |_, inputs, context| elementwise::compare(inputs, context, |order| order.is_some_and(std::cmp::Ordering::is_eq)),
};
