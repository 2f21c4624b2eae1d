//! `Softsign`: x / (1 + |x|).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Softsign",
    domain: "",
    versions: &[1, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| elementwise::float(inputs, context, |x| x / (1.0 + x.abs()), |x| x / (1.0 + x.abs())),
};
