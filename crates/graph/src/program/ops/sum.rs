//! `Sum`: the sum, from the first to the last.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Sum",
    domain: "",
    versions: &[6, 8, 13],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| Ok(vec![elementwise::variadic(inputs, context, &RULE)?.into()]),
};

const RULE: Arithmetic = Arithmetic { single: |a, b| a + b, double: |a, b| a + b, whole: |a, b| Ok(a.wrapping_add(b)) };
