//! `Greater`: whether the first is greater; never for a NaN.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Greater",
    domain: "",
    versions: &[1, 7, 9, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis", "broadcast"],
    run: |_, inputs, context| elementwise::compare(inputs, context, |order| order.is_some_and(std::cmp::Ordering::is_gt)),
};
