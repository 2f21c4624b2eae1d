//! `Shape`: the sizes of a tensor, or those from `start` to before `end`.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Shape",
    domain: "",
    versions: &[1, 13, 15, 19, 21, 23, 24, 25],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["end", "start"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let shape = inputs.tensor(0)?.shape();
    let rank = shape.len() as i64;
    let bound = |found: i64| if found < 0 { found.saturating_add(rank) } else { found }.clamp(0, rank);
    let (start, end) = (bound(node.integer("start", 0)?), bound(node.integer("end", rank)?));
    let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    let sizes = sizes.get(start as usize..end as usize).unwrap_or(&[]).to_vec();
    context.room(&[sizes.len()], Element::I64)?;
    Ok(vec![Array::i64s(&[sizes.len()], sizes)?.into()])
}
