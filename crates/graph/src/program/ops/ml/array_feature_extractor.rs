//! `ArrayFeatureExtractor`: features at the stated places of the last axis.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "ArrayFeatureExtractor",
    domain: DOMAIN,
    versions: &[1],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| {
        let x = inputs.tensor(0)?;
        let size = *x.shape().last().ok_or_else(|| Problem::shape(0, "1 size or more", x.shape()))?;
        let places: Result<Vec<usize>, Problem> = inputs.integers(1)?.iter().map(|&at| index::axis(at, size)).collect();
        let places = places?;
        let shape = match x.rank() {
            1 => vec![1, places.len()],
            _ => features::with_last(x.shape(), places.len()),
        };
        let taken = context.room(&shape, x.element())?;
        context.bytes(taken as u64 * 8)?;
        let rows = x.len().checked_div(size).unwrap_or(0);
        let indices: Vec<usize> = (0..rows).flat_map(|row| places.iter().map(move |place| row * size + place)).collect();
        Ok(vec![x.take(&shape, &indices)?.into()])
    },
};
