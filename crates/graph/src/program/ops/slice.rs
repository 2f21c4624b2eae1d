//! `Slice`: from start to end by step along some axes, negative places counted from the end.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Slice",
    domain: "",
    versions: &[1, 10, 11, 13],
    inputs: (1, 5),
    outputs: (1, 1),
    attributes: &["axes", "ends", "starts"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let list = |input: usize, name: &'static str| match inputs.integers_or_none(input)? {
        Some(list) => Ok(Some(list)),
        None => node.integers(name).map(|list| list.map(<[i64]>::to_vec)),
    };
    let missing = |input| Problem::Missing { input };
    let (starts, ends) = (list(1, "starts")?.ok_or(missing(1))?, list(2, "ends")?.ok_or(missing(2))?);
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = inputs.integers_or_none(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&length| length != starts.len()) {
        return Err(Problem::value("the number of ends, axes and steps", starts.len().to_string(), ends.len()));
    }
    // Axes may stand in any order, each once.
    index::axes(&axes, x.rank())?;
    let mut picked: Vec<(i64, i64, usize)> = x.shape().iter().map(|&size| (0, 1, size)).collect();
    for (((&axis, &start), &end), &step) in axes.iter().zip(&starts).zip(&ends).zip(&steps) {
        let axis = index::axis(axis, x.rank())?;
        picked[axis] = cut(start, end, step, x.shape()[axis])?;
    }
    let shape: Vec<usize> = picked.iter().map(|&(_, _, count)| count).collect();
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 16)?;
    let own = index::strides(x.shape());
    let mut indices = vec![0_usize; usize::from(total > 0)];
    for (&(start, step, count), &stride) in picked.iter().zip(&own) {
        let at = |place: usize| (start + place as i64 * step) as usize * stride;
        indices = indices.iter().flat_map(|&index| (0..count).map(move |place| index + at(place))).collect();
    }
    Ok(vec![x.take(&shape, &indices)?.into()])
}

/// First place, step, and how many places.
fn cut(start: i64, end: i64, step: i64, size: usize) -> Result<(i64, i64, usize), Problem> {
    let size = size as i64;
    let from_end = |place: i64| if place < 0 { place.saturating_add(size) } else { place };
    let (start, end) = (from_end(start), from_end(end));
    match step {
        0 => Err(Problem::value("a step", "anything but 0", 0)),
        1.. => {
            let (start, end) = (start.clamp(0, size), end.clamp(0, size));
            Ok((start, step, ((end - start).max(0) as u64).div_ceil(step as u64) as usize))
        }
        _ => {
            let (start, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
            Ok((start, step, ((start - end).max(0) as u64).div_ceil(step.unsigned_abs()) as usize))
        }
    }
}
