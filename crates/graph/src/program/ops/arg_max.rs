//! `ArgMax`: the index of the greatest along an axis; the first of equal ones, or the last.

use super::prelude::*;
use crate::program::reduce;

pub static OPERATOR: Operator = Operator {
    name: "ArgMax",
    domain: "",
    versions: &[1, 11, 12, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis", "keepdims", "select_last_index"],
    run: |node, inputs, context| reduce::choose(node, inputs, context, std::cmp::Ordering::is_gt),
};
