//! `Less`: whether the first is less; nothing is less than a NaN.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Less",
    domain: "",
    versions: &[1, 7, 9, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis", "broadcast"],
    run: |_, inputs, context| elementwise::compare(inputs, context, |order| order.is_some_and(std::cmp::Ordering::is_lt)),
};
