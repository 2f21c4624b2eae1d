//! `Sub`: differences; integers wrap around at their width.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Sub",
    domain: "",
    versions: &[1, 6, 7, 13, 14],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis", "broadcast", "consumed_inputs"],
    run: |_, inputs, context| elementwise::binary(inputs, context, &RULE),
};

const RULE: Arithmetic = Arithmetic { single: |a, b| a - b, double: |a, b| a - b, whole: |a, b| Ok(a.wrapping_sub(b)) };
