//! `Relu`: each element where it is greater than 0, NaN as it is, else +0.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Relu",
    domain: "",
    versions: &[6, 13, 14],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::number(inputs, context, |x| if x > 0.0 || x.is_nan() { x } else { 0.0 }, |x| if x > 0.0 || x.is_nan() { x } else { 0.0 }, |x| x.max(0)),
};
