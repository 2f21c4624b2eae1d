//! `LogSoftmax`: along an axis as in `Softmax`, `(x - greatest) - ln(sum of exp(x - greatest))`, the sum from +0, in order; in 16 bits
//! rounded in between as there.

use super::prelude::*;
use crate::program::real::settled;
use super::softmax::{each_line, line};

pub static OPERATOR: Operator = Operator {
    name: "LogSoftmax",
    domain: "",
    versions: &[1, 11, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis"],
    run: |node, inputs, context| {
        let (x, around) = line(node, inputs, context)?;
        precision!(x.element(), T => {
            let mut values = T::read(x).ok_or(Problem::Excluded)?.into_owned();
            each_line(&mut values, around, context.crew(), |line| log_softmax(line, |value: T| settled(x.element(), value)));
            Ok(vec![T::write(x.element(), x.shape(), values)?.into()])
        }, else => Err(inputs.element(0, "floats")))
    },
};

fn log_softmax<T: Real>(line: &mut [T], settle: impl Fn(T) -> T) {
    let most = line.iter().fold(-T::INFINITY, |most, &value| value.greater(most));
    line.iter_mut().for_each(|value| *value = settle(*value - most));
    let sum = line.iter().fold(T::ZERO, |sum, &value| sum + settle(value.exp()));
    let log = settle(settle(sum).ln());
    line.iter_mut().for_each(|value| *value = *value - log);
}
