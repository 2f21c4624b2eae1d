//! `CumSum`: running sums along an axis, from its first place or with `reverse` from its last; `exclusive` leaves out the place itself.

use super::prelude::*;
use crate::program::running;

pub static OPERATOR: Operator = Operator {
    name: "CumSum",
    domain: "",
    versions: &[11, 14],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["exclusive", "reverse"],
    run: |node, inputs, context| running::run(node, inputs, context, 0, &super::add::RULE),
};
