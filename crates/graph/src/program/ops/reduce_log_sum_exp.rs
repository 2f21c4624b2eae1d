//! `ReduceLogSumExp`: the greatest, plus the logarithm of the sum of e to the power of what each is less.

use super::prelude::*;
use crate::program::reduce::{self, Reduction};

pub static OPERATOR: Operator = Operator {
    name: "ReduceLogSumExp",
    domain: "",
    versions: &[1, 11, 13, 18, 28],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["axes", "keepdims", "noop_with_empty_axes"],
    run: |node, inputs, context| reduce::reduce(node, inputs, context, &RULE),
};

const RULE: Reduction = Reduction { single: real, double: real, whole };

fn real<T: Real>(values: &mut dyn Iterator<Item = T>, count: usize) -> T {
    let _ = count;
    let values: Vec<T> = values.collect();
    let most = values.iter().fold(-T::INFINITY, |most, &value| most.greater(value));
    if most == -T::INFINITY || most == T::INFINITY || most.is_nan() {
        return most;
    }
    most + values.iter().fold(T::ZERO, |sum, &value| sum + (value - most).exp()).ln()
}

fn whole(values: &mut dyn Iterator<Item = i128>, count: usize, element: Element) -> i128 {
    let _ = (count, element);
    let values: Vec<f64> = values.map(|value| value as f64).collect();
    real(&mut values.into_iter(), 0) as i128
}
