//! `ReduceProd`: the product from 1, in order; integers wrap around at their width.

use super::prelude::*;
use crate::program::reduce::{self, Reduction};

pub static OPERATOR: Operator = Operator {
    name: "ReduceProd",
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
    values.fold(T::ONE, |product, value| product * value)
}

fn whole(values: &mut dyn Iterator<Item = i128>, count: usize, element: Element) -> i128 {
    let _ = (count, element);
    values.fold(1, i128::wrapping_mul)
}
