//! `ReduceMean`: the sum from +0, in order, divided by the count; integers toward zero.

use super::prelude::*;
use crate::program::reduce::{self, Reduction};

pub static OPERATOR: Operator = Operator {
    name: "ReduceMean",
    domain: "",
    versions: &[1, 11, 13, 18],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["axes", "keepdims", "noop_with_empty_axes"],
    run: |node, inputs, context| reduce::reduce(node, inputs, context, &RULE),
};

const RULE: Reduction = Reduction { single: real, double: real, whole };

fn real<T: Real>(values: &mut dyn Iterator<Item = T>, count: usize) -> T {
    values.fold(T::ZERO, |sum, value| sum + value) / T::count(count)
}

fn whole(values: &mut dyn Iterator<Item = i128>, count: usize, element: Element) -> i128 {
    let _ = element;
    values.fold(0, i128::wrapping_add).checked_div(count as i128).unwrap_or(0)
}
