//! `Clip`: cut to a least and a greatest value; the greatest wins where they cross. A NaN stays one.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Clip",
    domain: "",
    versions: &[6, 11, 12, 13],
    inputs: (1, 3),
    outputs: (1, 1),
    attributes: &["max", "min"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), x.element())?;
    let limit = |input: usize| match inputs.tensor_or_none(input)? {
        Some(limit) if limit.element() != x.element() => Err(inputs.element(input, x.element().name())),
        Some(limit) if limit.len() != 1 => Err(Problem::shape(input, "one element", limit.shape())),
        other => Ok(other),
    };
    let (low, high) = (limit(1)?, limit(2)?);
    if x.element().family() == Family::Whole {
        let one = |limit: Option<&std::sync::Arc<Array>>| limit.and_then(|limit| limit.integers()?.first().copied());
        let (low, high) = (one(low), one(high));
        let values = x.integers().ok_or(Problem::Excluded)?;
        let cut = |value: i128| {
            let value = low.map_or(value, |low| value.max(low));
            high.map_or(value, |high| value.min(high))
        };
        return Ok(vec![Array::wholes(x.element(), x.shape(), context.crew().watched(values, 8).map(cut))?.into()]);
    }
    // Until version 11 the limits are attributes.
    let (least, most) = (node.float_or_none("min")?, node.float_or_none("max")?);
    let cut = precision!(x.element(), T => {
        let one = |limit: Option<&std::sync::Arc<Array>>| limit.and_then(|limit| T::read(limit)?.first().copied());
        let low = one(low).or(least.map(|value| T::of(value.into())));
        let high = one(high).or(most.map(|value| T::of(value.into())));
        let cut = |&value: &T| {
            let value = low.map_or(value, |low| if value < low { low } else { value });
            high.map_or(value, |high| if value > high { high } else { value })
        };
        let values = T::read(x).ok_or(Problem::Excluded)?;
        T::write(x.element(), x.shape(), context.crew().fill(values.len(), 8, T::ZERO, |at| cut(&values[at])))
    }, else => Err(inputs.element(0, "numbers")));
    Ok(vec![cut?.into()])
}
