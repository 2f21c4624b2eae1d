//! `TopK`: the k greatest or least along an axis, in that order, and their indices; the lowest index first among equal ones.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "TopK",
    domain: "",
    versions: &[1, 10, 11, 24],
    inputs: (1, 2),
    outputs: (2, 2),
    attributes: &["axis", "k", "largest", "sorted"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axis = index::axis(node.integer("axis", -1)?, x.rank())?;
    let around = Around::new(x.shape(), axis);
    let k = match inputs.integer_or_none(1)? {
        Some(k) => k,
        None => node.integer("k", -1)?,
    };
    let refused = || Problem::value("k", format!("0 to {}", around.size), k);
    let k = usize::try_from(k).ok().filter(|&k| k <= around.size).ok_or_else(refused)?;
    let mut shape = x.shape().to_vec();
    shape[axis] = k;
    context.room(&shape, x.element())?;
    context.room(&shape, Element::I64)?;
    context.bytes(x.len() as u64 * 16)?;
    context.spend((x.len() as u64).saturating_mul(64 - (around.size as u64).leading_zeros() as u64))?;
    let ranks = ranks(x).ok_or_else(|| inputs.element(0, "numbers"))?;
    let largest = node.flag("largest", true)?;
    let (mut places, mut indices) = (vec![0; count(&shape).unwrap_or(0)], vec![0_i64; count(&shape).unwrap_or(0)]);
    let mut look = context.crew().look();
    for outer in 0..around.outer {
        for inner in 0..around.inner {
            if !look.on(around.size.saturating_mul(64)) {
                return Err(Problem::Ended);
            }
            let rank = |place: &usize| ranks[around.at(outer, *place, inner)];
            let mut order: Vec<usize> = (0..around.size).collect();
            order.sort_by(|one, other| {
                let order = rank(one).cmp(&rank(other));
                (if largest { order.reverse() } else { order }).then(one.cmp(other))
            });
            for (step, &place) in order.iter().take(k).enumerate() {
                let to = (outer * k + step) * around.inner + inner;
                places[to] = around.at(outer, place, inner);
                indices[to] = place as i64;
            }
        }
    }
    Ok(vec![x.take(&shape, &places)?.into(), Array::i64s(&shape, indices)?.into()])
}

/// Numbers that are ordered as the values are.
fn ranks(x: &Array) -> Option<Vec<i128>> {
    x.integers().or_else(|| x.doubles().map(|values| values.iter().map(|&value| rank(value)).collect()))
}

/// A number that is ordered as the value is; both zeros are equal, every NaN is above all.
pub(super) fn rank(value: f64) -> i128 {
    let bits = (value + 0.0).to_bits() as i64;
    match value.is_nan() {
        true => i128::MAX,
        false => i128::from(if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }),
    }
}
