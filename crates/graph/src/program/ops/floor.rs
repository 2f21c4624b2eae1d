//! `Floor`: the greatest whole number that is not above.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Floor",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, |x| x.floor(), |x| x.floor()),
};
