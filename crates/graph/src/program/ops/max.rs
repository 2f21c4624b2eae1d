//! `Max`: the greatest of all; a NaN wins.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Max",
    domain: "",
    versions: &[6, 8, 12, 13],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| Ok(vec![elementwise::variadic(inputs, context, &RULE)?.into()]),
};

const RULE: Arithmetic = Arithmetic { single: Real::greater, double: Real::greater, whole: |a, b| Ok(a.max(b)) };
