//! `Identity`: its input, whatever it is.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Identity",
    domain: "",
    versions: &[1, 13, 14, 16, 19, 21, 23, 24, 25],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, _| Ok(vec![inputs.value(0)?.clone()]),
};
