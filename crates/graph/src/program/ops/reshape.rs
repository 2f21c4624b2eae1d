//! `Reshape`: the same elements in row-major order under another shape; -1 is inferred, 0 copies a size unless
//! `allowzero` says that it is one.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Reshape",
    domain: "",
    versions: &[5, 13, 14, 19, 21, 23, 24, 25],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["allowzero"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let target = inputs.integers(1)?;
    let shape = resolve(x, &target, node.flag("allowzero", false)?)?;
    context.room(&shape, x.element())?;
    Ok(vec![x.reshaped(&shape)?.into()])
}

fn resolve(x: &Array, target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Problem> {
    let refused = || Problem::value("the target shape", format!("{} elements", x.len()), format!("{target:?}"));
    let mut shape = Vec::with_capacity(target.len());
    let mut inferred = None;
    for (place, &size) in target.iter().enumerate() {
        shape.push(match size {
            -1 if inferred.replace(place).is_none() => 1,
            0 if !allow_zero => *x.shape().get(place).ok_or_else(refused)?,
            size => usize::try_from(size).map_err(|_| refused())?,
        });
    }
    if let Some(place) = inferred {
        let others = count(&shape).ok_or_else(refused)?;
        shape[place] = x.len().checked_div(others).unwrap_or(0);
    }
    if count(&shape) == Some(x.len()) { Ok(shape) } else { Err(refused()) }
}
