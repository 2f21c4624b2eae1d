//! `StringConcat`: texts joined, place by place.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "StringConcat",
    domain: "",
    versions: &[20],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (one, other) = (inputs.texts(0)?, inputs.texts(1)?);
    let pairing = elementwise::pair(inputs.tensor(0)?, inputs.tensor(1)?, Element::Text, context)?;
    let places = || pairing.one.iter().zip(&pairing.other);
    let lengths = || places().map(|(&i, &j)| (one[i].len() + other[j].len()) as u64);
    // Each text stands twice while it is made.
    context.bytes(lengths().sum::<u64>().saturating_add(lengths().max().unwrap_or(0)))?;
    let joined = places().map(|(&i, &j)| [&*one[i], &*other[j]].concat().into()).collect();
    Ok(vec![Array::texts(&pairing.shape, joined)?.into()])
}
