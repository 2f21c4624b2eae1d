//! `Hardmax`: along an axis as in `Softmax`, 1 at the first of the greatest, 0 elsewhere.

use super::prelude::*;
use super::softmax::{each_line, line};

pub static OPERATOR: Operator = Operator {
    name: "Hardmax",
    domain: "",
    versions: &[1, 11, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis"],
    run: |node, inputs, context| {
        let (x, around) = line(node, inputs, context)?;
        precision!(x.element(), T => {
            let mut values = T::read(x).ok_or(Problem::Excluded)?.into_owned();
            each_line(&mut values, around, context.crew(), hardmax::<T>);
            Ok(vec![T::write(x.element(), x.shape(), values)?.into()])
        }, else => Err(inputs.element(0, "floats")))
    },
};

fn hardmax<T: Real>(line: &mut [T]) {
    let mut best = 0;
    for place in 1..line.len() {
        if line[place] > line[best] {
            best = place;
        }
    }
    line.iter_mut().enumerate().for_each(|(place, value)| *value = if place == best { T::ONE } else { T::ZERO });
}
