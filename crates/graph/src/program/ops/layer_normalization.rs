//! `LayerNormalization`: over all axes from `axis` on, `((x - mean)·inverse)·scale + bias` with the moments of `normal.rs`; also
//! the means and inverse deviations.

use super::prelude::*;
use crate::program::normal::{moments, placed};

pub static OPERATOR: Operator = Operator {
    name: "LayerNormalization",
    domain: "",
    versions: &[17],
    inputs: (2, 3),
    outputs: (1, 3),
    attributes: &["axis", "epsilon", "stash_type"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, scale, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let axis = index::axis(node.integer("axis", -1)?, x.rank())?;
    let size: usize = x.shape()[axis..].iter().product();
    let rows: usize = x.shape()[..axis].iter().product();
    context.room(x.shape(), x.element())?;
    context.spend((x.len() as u64).saturating_mul(4))?;
    let (scale_at, bias_at) = (onto(scale, x, 1, context)?, bias.map(|bias| onto(bias, x, 2, context)).transpose()?);
    let mut kept = x.shape().to_vec();
    kept[axis..].fill(1);
    let stash = if x.element() == Element::F64 { Element::F64 } else { Element::F32 };
    precision!(x.element(), T => {
        let of = |input, array| T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0"));
        let (values, scale) = (of(0, x)?, of(1, scale)?);
        let bias = bias.map(|bias| of(2, bias)).transpose()?;
        let epsilon = T::of(node.float("epsilon", 1e-5)?.into());
        let crew = context.crew();
        let of_row = |row: usize| moments(values[row * size..][..size].iter().copied(), size, epsilon);
        let both = crew.fill(rows, size.saturating_mul(4), (T::ZERO, T::ZERO), of_row);
        let y = crew.fill(values.len(), 4, T::ZERO, |at| {
            let bias = bias.as_ref().zip(bias_at.as_ref()).map(|(bias, places)| bias[places[at]]);
            placed(values[at], both[at / size], scale[scale_at[at]], bias)
        });
        let (means, inverses) = both.into_iter().unzip();
        let y = T::write(x.element(), x.shape(), y)?;
        Ok(vec![y.into(), T::write(stash, &kept, means)?.into(), T::write(stash, &kept, inverses)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}

/// Where each element of `x` finds its factor in a tensor that spreads over it.
pub(super) fn onto(factor: &Array, x: &Array, input: usize, context: &mut Context) -> Result<Vec<usize>, Problem> {
    if index::broadcast(factor.shape(), x.shape()).ok().as_deref() != Some(x.shape()) {
        return Err(Problem::shape(input, format!("what spreads to {:?}", x.shape()), factor.shape()));
    }
    context.bytes(x.len() as u64 * 8)?;
    Ok(index::spread(factor.shape(), x.shape()))
}
