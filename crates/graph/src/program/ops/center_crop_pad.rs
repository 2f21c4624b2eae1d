//! `CenterCropPad`: cut or filled with zeros at both ends of some axes to reach their sizes; the odd place is at the end where it is filled, and before where it is cut.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "CenterCropPad",
    domain: "",
    versions: &[18],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axes"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, sizes) = (inputs.tensor(0)?, inputs.integers(1)?);
    let axes = node.integers("axes")?.map_or_else(|| (0..x.rank() as i64).collect(), <[i64]>::to_vec);
    index::axes(&axes, x.rank())?;
    let refused = || Problem::value("the target sizes", format!("one for each of {} axes", axes.len()), format!("{sizes:?}"));
    if sizes.len() != axes.len() {
        return Err(refused());
    }
    let mut shape = x.shape().to_vec();
    for (&axis, &size) in axes.iter().zip(&sizes) {
        shape[index::axis(axis, x.rank())?] = usize::try_from(size).map_err(|_| refused())?;
    }
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 16)?;
    let mut indices = vec![0_usize; usize::from(total > 0)];
    for ((&size, &own), &stride) in shape.iter().zip(x.shape()).zip(&index::strides(x.shape())) {
        // How far the first place of the output lies before that of the input.
        let shift = if size > own { (size - own) / 2 } else { 0 };
        let skip = if own > size { (own - size) / 2 } else { 0 };
        let place = move |place: usize| (place + skip).checked_sub(shift).filter(|&place| place < own).map_or(usize::MAX, |place| place * stride);
        indices = indices.iter().flat_map(|&index| (0..size).map(move |at| if index == usize::MAX { index } else { index.saturating_add(place(at)) })).collect();
    }
    Ok(vec![x.take_or(&shape, &indices, &Array::zeros(x.element(), &[])?)?.into()])
}
