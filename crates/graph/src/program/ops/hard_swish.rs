//! `HardSwish`: x times the least of 1 and the greatest of 0 and x·(1/6) + 1/2, the constants those of f32.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "HardSwish",
    domain: "",
    versions: &[14, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| activation(inputs, context),
};

fn activation(inputs: &Inputs, context: &mut Context) -> Outcome {
    let alpha = 1.0_f32 / 6.0;
    elementwise::float(
        inputs,
        context,
        |x| x * (alpha * x + 0.5).greater(0.0).lesser(1.0),
        |x| x * (f64::from(alpha) * x + 0.5).greater(0.0).lesser(1.0),
    )
}
