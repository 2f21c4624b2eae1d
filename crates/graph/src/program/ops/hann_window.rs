//! `HannWindow`: the window of Hann, periodic or symmetric; in binary64, rounded once.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "HannWindow",
    domain: "",
    versions: &[17],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["output_datatype", "periodic"],
    run: |node, inputs, context| elementwise::window(node, inputs, context, |turn| 0.5 - 0.5 * math::cos(turn)),
};
