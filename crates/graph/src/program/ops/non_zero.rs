//! `NonZero`: the places of all elements that are not zero, in row-major order: a row of indices for each axis.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "NonZero",
    domain: "",
    versions: &[9, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let flags = each!(x.data(), values => marks(values));
    // -0 and 0 are both zero, whatever holds them.
    let flags: Vec<bool> = match x.floats() {
        Some(values) => values.iter().map(|&value| value != 0.0).collect(),
        None => flags,
    };
    let found: Vec<usize> = (0..flags.len()).filter(|&at| flags[at]).collect();
    // A scalar has one place, of no axis; the standard counts it as one of one axis.
    let sizes: &[usize] = if x.rank() == 0 { &[1] } else { x.shape() };
    let shape = [sizes.len(), found.len()];
    context.room(&shape, Element::I64)?;
    let strides = index::strides(sizes);
    let rows = sizes.iter().zip(&strides);
    let values = rows.flat_map(|(&size, &stride)| found.iter().map(move |&at| (at / stride % size) as i64)).collect();
    Ok(vec![Array::i64s(&shape, values)?.into()])
}

fn marks<T: PartialEq + Default>(values: &[T]) -> Vec<bool> {
    let zero = T::default();
    values.iter().map(|value| *value != zero).collect()
}
