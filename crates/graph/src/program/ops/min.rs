//! `Min`: the least of all; a NaN wins.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Min",
    domain: "",
    versions: &[6, 8, 12, 13],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| Ok(vec![elementwise::variadic(inputs, context, &RULE)?.into()]),
};

const RULE: Arithmetic = Arithmetic { single: Real::lesser, double: Real::lesser, whole: |a, b| Ok(a.min(b)) };
