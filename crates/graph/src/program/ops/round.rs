//! `Round`: the nearest whole number, ties to even.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Round",
    domain: "",
    versions: &[11, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, |x| x.round_ties_even(), |x| x.round_ties_even()),
};
