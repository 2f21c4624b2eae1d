//! `HammingWindow`: the window of Hamming, of 25/46 and 21/46, periodic or symmetric; in binary64, rounded once.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "HammingWindow",
    domain: "",
    versions: &[17],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["output_datatype", "periodic"],
    run: |node, inputs, context| elementwise::window(node, inputs, context, |turn| 25.0 / 46.0 - 21.0 / 46.0 * math::cos(turn)),
};
