//! `ArgMin`: the index of the least along an axis; the first of equal ones, or the last. A NaN is greater than all.

use super::prelude::*;
use crate::program::reduce;

pub static OPERATOR: Operator = Operator {
    name: "ArgMin",
    domain: "",
    versions: &[1, 11, 12, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis", "keepdims", "select_last_index"],
    run: |node, inputs, context| reduce::choose(node, inputs, context, std::cmp::Ordering::is_lt),
};
