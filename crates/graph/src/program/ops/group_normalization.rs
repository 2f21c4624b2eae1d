//! `GroupNormalization`: each group of channels of each batch by its own moments, then the scale and bias of each channel (of each
//! group before version 21).

use super::prelude::*;
use crate::program::normal::{moments, placed};

pub static OPERATOR: Operator = Operator {
    name: "GroupNormalization",
    domain: "",
    versions: &[18, 21],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["epsilon", "num_groups", "stash_type"],
    run: |node, inputs, context| {
        let groups = usize::try_from(node.integer("num_groups", 0)?).unwrap_or(0);
        grouped(node, inputs, groups, context)
    },
};

pub(super) fn grouped(node: &Node, inputs: &Inputs, groups: usize, context: &mut Context) -> Outcome {
    let (x, scale, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let &[batch, channels, ref spatial @ ..] = x.shape() else {
        return Err(Problem::shape(0, "a batch, channels and spatial sizes", x.shape()));
    };
    if groups == 0 || channels % groups != 0 {
        return Err(Problem::Attribute { name: "num_groups", expected: "a divisor of the channels" });
    }
    let factors = scale.len();
    if factors == 0 || channels % factors != 0 || bias.len() != factors {
        return Err(Problem::shape(1, format!("{channels} or {groups} values, as many as input 2"), scale.shape()));
    }
    context.room(x.shape(), x.element())?;
    context.spend((x.len() as u64).saturating_mul(4))?;
    let (plane, size) = (spatial.iter().product::<usize>(), x.len() / (batch * groups).max(1));
    precision!(x.element(), T => {
        let of = |input, array| T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0"));
        let (values, scale, bias) = (of(0, x)?, of(1, scale)?, of(2, bias)?);
        let epsilon = T::of(node.float("epsilon", 1e-5)?.into());
        let crew = context.crew();
        let of_group = |group: usize| moments(values[group * size..][..size].iter().copied(), size, epsilon);
        let both = crew.fill(values.len() / size.max(1), size.saturating_mul(4), (T::ZERO, T::ZERO), of_group);
        let y = crew.fill(values.len(), 4, T::ZERO, |at| {
            let group = at / size;
            let channel = (group % groups) * (channels / groups) + at % size / plane;
            let factor = channel / (channels / factors);
            placed(values[at], both[group], scale[factor], Some(bias[factor]))
        });
        Ok(vec![T::write(x.element(), x.shape(), y)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
