//! `GatherND`: slices by tuples of indices, after some batch sizes that both share.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "GatherND",
    domain: "",
    versions: &[11, 12, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["batch_dims"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, tuples) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let batch = node.integer("batch_dims", 0)?;
    let refused = || Problem::shape(1, format!("{batch} batch sizes as input 0 has, and tuples"), tuples.shape());
    let batch = usize::try_from(batch).map_err(|_| refused())?;
    let [lead @ .., length] = tuples.shape() else { return Err(refused()) };
    let fits = batch <= lead.len() && batch + length <= x.rank() && lead[..batch] == x.shape()[..batch];
    fits.then_some(()).ok_or_else(refused)?;
    let inner = &x.shape()[batch + length..];
    let shape = [lead, inner].concat();
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 8)?;
    let (own, values) = (index::strides(x.shape()), inputs.integers(1)?);
    let block: usize = inner.iter().product();
    let of_batch: usize = lead[batch..].iter().product();
    let batch_step = if batch == 0 { 0 } else { own[batch - 1] };
    let mut indices = Vec::with_capacity(total);
    for tuple in 0..lead.iter().product::<usize>() {
        let mut at = tuple / of_batch.max(1) * batch_step;
        for place in 0..*length {
            at += index::axis(values[tuple * length + place], x.shape()[batch + place])? * own[batch + place];
        }
        indices.extend(at..at + block);
    }
    Ok(vec![x.take(&shape, &indices)?.into()])
}
