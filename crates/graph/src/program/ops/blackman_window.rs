//! `BlackmanWindow`: the window of Blackman, periodic or symmetric; in binary64, rounded once.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "BlackmanWindow",
    domain: "",
    versions: &[17],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["output_datatype", "periodic"],
    run: |node, inputs, context| elementwise::window(node, inputs, context, |turn| 0.42 - 0.5 * math::cos(turn) + 0.08 * math::cos(2.0 * turn)),
};
