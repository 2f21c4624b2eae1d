//! `OneHot`: along a new axis the second value at the place that an index names, counted from the end where negative, the first elsewhere.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "OneHot",
    domain: "",
    versions: &[9, 11, 28],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (indices, values) = (inputs.tensor(0)?, inputs.tensor(2)?);
    let depth = inputs.number(1)?;
    let depth = Some(depth).filter(|depth| (0.0..9e15).contains(depth)).map(|depth| depth as usize);
    let depth = depth.ok_or_else(|| Problem::value("the depth", "0 or more", "beyond"))?;
    if values.len() != 2 {
        return Err(Problem::shape(2, "[2]", values.shape()));
    }
    let axis = index::axis(node.integer("axis", -1)?, indices.rank() + 1)?;
    let shape = [&indices.shape()[..axis], &[depth], &indices.shape()[axis..]].concat();
    let total = context.room(&shape, values.element())?;
    context.bytes(total as u64 * 8)?;
    let inner: usize = indices.shape()[axis..].iter().product();
    let named: Vec<f64> = match (indices.integers(), indices.doubles()) {
        (Some(indices), _) => indices.into_iter().map(|index| index as f64).collect(),
        (None, Some(indices)) => indices.into_owned(),
        (None, None) => return Err(inputs.element(0, "numbers")),
    };
    let mut picked = vec![0_usize; total];
    for (at, &index) in named.iter().enumerate() {
        let place = if index < 0.0 { index + depth as f64 } else { index };
        if place >= 0.0 && place < depth as f64 {
            let place = (at / inner * depth + place as usize) * inner + at % inner;
            picked[place] = 1;
        }
    }
    Ok(vec![values.take(&shape, &picked)?.into()])
}
