//! `TensorScatter`: an update written into a cache along an axis, from an index of its own for each batch; circular where asked.

use super::prelude::*;
use crate::program::scatter::{Join, scatter};

pub static OPERATOR: Operator = Operator {
    name: "TensorScatter",
    domain: "",
    versions: &[24],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["axis", "mode"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (cache, update) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let axis = index::axis(node.integer("axis", -2)?, cache.rank())?;
    let same = |(place, (one, other)): (usize, (&usize, &usize))| place == axis || one == other;
    let fits = axis > 0 && cache.rank() == update.rank() && cache.shape().iter().zip(update.shape()).enumerate().all(same);
    if !fits || update.shape()[axis] > cache.shape()[axis] {
        return Err(Problem::shape(1, format!("at most {:?}, equal but for axis {axis}", cache.shape()), update.shape()));
    }
    let batch = cache.shape()[0];
    let starts = inputs.integers_or_none(2)?.unwrap_or_else(|| vec![0; batch]);
    if starts.len() != batch {
        return Err(Problem::shape(2, format!("[{batch}]"), inputs.tensor(2)?.shape()));
    }
    let circular = match node.text("mode", "linear")? {
        "linear" => false,
        "circular" => true,
        other => return Err(Problem::value("attribute mode", "linear or circular", other)),
    };
    context.room(cache.shape(), cache.element())?;
    context.bytes((cache.len() as u64 + update.len() as u64) * 8)?;
    let (from, to) = (Around::new(update.shape(), axis), Around::new(cache.shape(), axis));
    let of_batch = from.outer / batch.max(1);
    let mut places = Vec::with_capacity(update.len());
    for outer in 0..from.outer {
        let start = starts[outer / of_batch.max(1)];
        for step in 0..from.size {
            let place = start.saturating_add(step as i64);
            let place = if circular { place.rem_euclid(to.size as i64) } else { place };
            let place = usize::try_from(place).ok().filter(|&place| place < to.size);
            let place = place.ok_or_else(|| Problem::value("a write index", format!("0 to {}", to.size), start))?;
            places.extend((0..from.inner).map(|inner| to.at(outer, place, inner)));
        }
    }
    Ok(vec![scatter(cache, &places, update, Join::Put)?.into()])
}
