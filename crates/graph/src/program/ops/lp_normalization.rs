//! `LpNormalization`: along an axis, each element divided by the norm (p = 1: sum of magnitudes; p = 2: root of the chain of squares),
//! from +0, in order; a line of norm 0 stays 0.

use super::lp_pool::{raised, root};
use super::prelude::*;
use super::softmax::each_line;

pub static OPERATOR: Operator = Operator {
    name: "LpNormalization",
    domain: "",
    versions: &[1, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis", "p"],
    run: |node, inputs, context| {
        let x = inputs.tensor(0)?;
        let power = node.integer("p", 2)?;
        let around = Around::new(x.shape(), index::axis(node.integer("axis", -1)?, x.rank())?);
        context.room(x.shape(), x.element())?;
        context.spend((x.len() as u64).saturating_mul(2))?;
        precision!(x.element(), T => {
            let mut values = T::read(x).ok_or(Problem::Excluded)?.into_owned();
            each_line(&mut values, around, context.crew(), |line: &mut [T]| {
                let norm = root(line.iter().fold(T::ZERO, |sum, &value| sum + raised(value, power)), power);
                let none = norm == T::ZERO;
                line.iter_mut().for_each(|value| *value = if none { T::ZERO } else { *value / norm });
            });
            Ok(vec![T::write(x.element(), x.shape(), values)?.into()])
        }, else => Err(inputs.element(0, "floats")))
    },
};
