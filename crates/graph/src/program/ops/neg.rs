//! `Neg`: the negative; integers wrap around at their width.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Neg",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::number(inputs, context, |x| -x, |x| -x, |x| -x),
};
