//! `ReverseSequence`: for each batch the first so many places of time in reverse, the others as they are.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "ReverseSequence",
    domain: "",
    versions: &[10, 28],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["batch_axis", "time_axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, lengths) = (inputs.tensor(0)?, inputs.integers(1)?);
    let (batch, time) = (node.integer("batch_axis", 1)?, node.integer("time_axis", 0)?);
    let (batch, time) = (index::axis(batch, x.rank())?, index::axis(time, x.rank())?);
    if batch == time || lengths.len() != x.shape()[batch] {
        return Err(Problem::shape(1, format!("[{}], and two axes", x.shape()[batch]), inputs.tensor(1)?.shape()));
    }
    let (steps, size) = (index::strides(x.shape()), x.shape()[time] as i64);
    context.room(x.shape(), x.element())?;
    context.bytes(x.len() as u64 * 8)?;
    let source = |at: usize| {
        let (place, of_batch) = ((at / steps[time] % x.shape()[time]) as i64, at / steps[batch] % x.shape()[batch]);
        let length = lengths[of_batch];
        if length < 0 || length > size {
            return Err(Problem::value("a sequence's length", format!("0 to {size}"), length));
        }
        let from = if place < length { length - 1 - place } else { place };
        Ok((at as i64 + (from - place) * steps[time] as i64) as usize)
    };
    let indices: Result<Vec<usize>, Problem> = (0..x.len()).map(source).collect();
    Ok(vec![x.take(x.shape(), &indices?)?.into()])
}
