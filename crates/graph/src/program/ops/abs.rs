//! `Abs`: the magnitude; of the least integer of a signed type, that integer.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Abs",
    domain: "",
    versions: &[6, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::number(inputs, context, f32::abs, f64::abs, i128::abs),
};
