//! `Sign`: -1, 0 or 1; a NaN stays one.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Sign",
    domain: "",
    versions: &[9, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::number(inputs, context, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x + 0.0 }, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x + 0.0 }, i128::signum),
};
