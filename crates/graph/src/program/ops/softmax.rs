//! `Softmax`: along an axis, `exp(x - greatest)` divided by the sum of these from +0, in order. Before version 13 the axes from
//! `axis` on are one. The standard defines it as a function of four nodes, so in 16 bits what each of these makes (differences,
//! exponentials, their sum) is rounded to the element, as a node's output is.

use super::prelude::*;
use crate::program::real::settled;

pub static OPERATOR: Operator = Operator {
    name: "Softmax",
    domain: "",
    versions: &[1, 11, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis"],
    run: |node, inputs, context| {
        let (x, around) = line(node, inputs, context)?;
        precision!(x.element(), T => {
            let mut values = T::read(x).ok_or(Problem::Excluded)?.into_owned();
            each_line(&mut values, around, context.crew(), |line| softmax_by(line, |value| settled(x.element(), value)));
            Ok(vec![T::write(x.element(), x.shape(), values)?.into()])
        }, else => Err(inputs.element(0, "floats")))
    },
};

/// The input, and the axis that the operator runs along.
pub(super) fn line<'i>(node: &Node, inputs: &'i Inputs, context: &mut Context) -> Result<(&'i Array, Around), Problem> {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), x.element())?;
    context.spend((x.len() as u64).saturating_mul(4))?;
    let around = if node.version >= 13 {
        Around::new(x.shape(), index::axis(node.integer("axis", -1)?, x.rank())?)
    } else {
        let found = node.integer("axis", 1)?;
        let axis = if found == x.rank() as i64 { x.rank() } else { index::axis(found, x.rank())? };
        let (outer, size) = x.shape().split_at(axis);
        Around { outer: outer.iter().product(), size: size.iter().product(), inner: 1 }
    };
    Ok((x, around))
}

/// Rewrites each line of elements along the axis.
pub(super) fn each_line<T: Copy + Send>(
    values: &mut [T],
    around: Around,
    crew: &dyn Crew,
    rewrite: impl Fn(&mut [T]) + Sync,
) {
    let (block, work) = (around.size * around.inner, around.size.saturating_mul(LINE));
    crew.rows(values, block, work.saturating_mul(around.inner), |_, blocks| {
        let (mut line, mut look) = (Vec::with_capacity(around.size), crew.look());
        for values in blocks.chunks_mut(block.max(1)) {
            for inner in 0..around.inner {
                if !look.on(work) {
                    return;
                }
                line.clear();
                line.extend((0..around.size).map(|place| values[around.at(0, place, inner)]));
                rewrite(&mut line);
                line.iter().enumerate().for_each(|(place, &value)| values[around.at(0, place, inner)] = value);
            }
        }
    });
}

/// What a place of a line may cost.
const LINE: usize = 32;

/// The meaning over one line.
pub fn softmax<T: Real>(line: &mut [T]) {
    softmax_by(line, |value| value);
}

/// The same, with what is made in between put in its element by `settle`.
fn softmax_by<T: Real>(line: &mut [T], settle: impl Fn(T) -> T) {
    let most = line.iter().fold(-T::INFINITY, |most, &value| value.greater(most));
    line.iter_mut().for_each(|value| *value = settle(settle(*value - most).exp()));
    let sum = settle(line.iter().fold(T::ZERO, |sum, &value| sum + value));
    line.iter_mut().for_each(|value| *value = *value / sum);
}
