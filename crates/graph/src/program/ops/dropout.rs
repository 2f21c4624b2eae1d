//! `Dropout`: the input as it is; in training, each element by chance zero, else scaled by 1 / (1 - ratio). An element is kept
//! where the twister's next number, in row-major order, is not below the ratio.

use super::prelude::*;
use crate::program::random::Twister;

pub static OPERATOR: Operator = Operator {
    name: "Dropout",
    domain: "",
    versions: &[6, 7, 10, 12, 13, 22],
    inputs: (1, 3),
    outputs: (1, 2),
    attributes: &["consumed_inputs", "is_test", "ratio", "seed"],
    run,
};

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    match node.version < 7 && !node.flag("is_test", false)? {
        true => Err(Problem::Unsupported { what: "training by version 6 (is_test = 0)" }),
        false => Ok(()),
    }
}

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    check(node, context)?;
    let training = inputs.tensor_or_none(2)?.map(|_| inputs.bool(2)).transpose()?.unwrap_or(false);
    let ratio = match inputs.tensor_or_none(1)? {
        Some(_) => inputs.number(1)?,
        None => 0.5,
    };
    context.room(x.shape(), Element::Bool)?;
    context.room(x.shape(), x.element())?;
    if !training || ratio == 0.0 {
        return Ok(vec![x.as_ref().clone().into(), Array::bools(x.shape(), vec![true; x.len()])?.into()]);
    }
    let mut twister = Twister::of(node)?;
    let kept: Vec<bool> = context.crew().watched(0..x.len(), 16).map(|_| twister.uniform() >= ratio).collect();
    let dropped = precision!(x.element(), T => {
        let scale = T::ONE / (T::ONE - T::of(ratio));
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let one = |(&value, &kept): (&T, &bool)| if kept { value * scale } else { T::ZERO };
        T::write(x.element(), x.shape(), context.crew().watched(values.iter().zip(&kept), 4).map(one).collect())
    }, else => Err(inputs.element(0, "floats")));
    Ok(vec![dropped?.into(), Array::bools(x.shape(), kept)?.into()])
}
