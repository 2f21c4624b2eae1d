//! `Sqrt`: the IEEE square root.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Sqrt",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, |x| x.sqrt(), |x| x.sqrt()),
};
