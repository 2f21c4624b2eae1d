//! `Tile`: the tensor repeated so many times along each axis.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Tile",
    domain: "",
    versions: &[6, 13],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, repeats) = (inputs.tensor(0)?, inputs.integers(1)?);
    let refused = || Problem::value("the repeats", format!("{} counts", x.rank()), format!("{repeats:?}"));
    if repeats.len() != x.rank() {
        return Err(refused());
    }
    let sizes = x.shape().iter().zip(&repeats);
    let shape: Option<Vec<usize>> = sizes.map(|(&size, &times)| size.checked_mul(usize::try_from(times).ok()?)).collect();
    let shape = shape.ok_or_else(refused)?;
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 16)?;
    let mut indices = vec![0_usize; usize::from(total > 0)];
    for ((&size, &own), &stride) in shape.iter().zip(x.shape()).zip(&index::strides(x.shape())) {
        indices = indices.iter().flat_map(|&index| (0..size).map(move |place| index + place % own * stride)).collect();
    }
    Ok(vec![x.take(&shape, &indices)?.into()])
}
