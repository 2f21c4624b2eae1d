//! `ScatterND`: slices put, or joined, at tuples of indices, one after the other.

use super::prelude::*;
use crate::program::scatter::{Join, scatter};

pub static OPERATOR: Operator = Operator {
    name: "ScatterND",
    domain: "",
    versions: &[11, 13, 16, 18],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["reduction"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, tuples, updates) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let refused = || Problem::shape(1, "tuples of at most as many indices as input 0 has sizes", tuples.shape());
    let [lead @ .., length] = tuples.shape() else { return Err(refused()) };
    let inner = x.shape().get(*length..).ok_or_else(refused)?;
    if updates.shape() != [lead, inner].concat() {
        return Err(Problem::shape(2, format!("{:?}", [lead, inner].concat()), updates.shape()));
    }
    context.room(x.shape(), x.element())?;
    context.bytes((x.len() as u64 + updates.len() as u64) * 8)?;
    let (own, values) = (index::strides(x.shape()), inputs.integers(1)?);
    let block: usize = inner.iter().product();
    let mut places = Vec::with_capacity(updates.len());
    for tuple in 0..lead.iter().product::<usize>() {
        let mut at = 0;
        for place in 0..*length {
            at += index::axis(values[tuple * length + place], x.shape()[place])? * own[place];
        }
        places.extend(at..at + block);
    }
    let join = Join::named(node.text("reduction", "none")?)?;
    Ok(vec![scatter(x, &places, updates, join)?.into()])
}
