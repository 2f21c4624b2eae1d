//! `ReduceMax`: the greatest; a NaN wins; of nothing, the least that there is.

use super::prelude::*;
use crate::program::reduce::{self, Reduction};

pub static OPERATOR: Operator = Operator {
    name: "ReduceMax",
    domain: "",
    versions: &[1, 11, 12, 13, 18, 20],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["axes", "keepdims", "noop_with_empty_axes"],
    run: |node, inputs, context| reduce::reduce(node, inputs, context, &RULE),
};

const RULE: Reduction = Reduction { single: real, double: real, whole };

fn real<T: Real>(values: &mut dyn Iterator<Item = T>, count: usize) -> T {
    let _ = count;
    values.fold(-T::INFINITY, Real::greater)
}

fn whole(values: &mut dyn Iterator<Item = i128>, count: usize, element: Element) -> i128 {
    let _ = count;
    values.max().unwrap_or(element.range().map_or(0, |(low, _)| low))
}
