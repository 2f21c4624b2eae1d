//! `Binarizer`: 1 where a number is above the threshold, else 0.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Binarizer",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["threshold"],
    run: |node, inputs, context| {
        let threshold = node.float("threshold", 0.0)?;
        let single = move |x: f32| f32::from(x > threshold);
        let double = move |x: f64| f64::from(x > f64::from(threshold));
        elementwise::number(inputs, context, single, double, |x| i128::from(x as f64 > f64::from(threshold)))
    },
};
