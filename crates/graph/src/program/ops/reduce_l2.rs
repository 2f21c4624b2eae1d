//! `ReduceL2`: the root of the sum of squares, each added by fma from +0, in order.

use super::prelude::*;
use crate::program::reduce::{self, Reduction};

pub static OPERATOR: Operator = Operator {
    name: "ReduceL2",
    domain: "",
    versions: &[1, 11, 13, 18],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["axes", "keepdims", "noop_with_empty_axes"],
    run: |node, inputs, context| reduce::reduce(node, inputs, context, &RULE),
};

const RULE: Reduction = Reduction { single: real, double: real, whole };

fn real<T: Real>(values: &mut dyn Iterator<Item = T>, count: usize) -> T {
    let _ = count;
    values.fold(T::ZERO, |sum, value| value.fma(value, sum)).square_root()
}

fn whole(values: &mut dyn Iterator<Item = i128>, count: usize, element: Element) -> i128 {
    let _ = (count, element);
    let sum = values.fold(0_i128, |sum, value| sum.wrapping_add(value.wrapping_mul(value)));
    (sum as f64).sqrt() as i128
}
