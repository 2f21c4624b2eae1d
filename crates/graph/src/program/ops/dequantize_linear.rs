//! `DequantizeLinear`: `(x - zero)·scale`, one product in the precision of the output.

use super::prelude::*;
use crate::program::scaling::{places, zeros};

pub static OPERATOR: Operator = Operator {
    name: "DequantizeLinear",
    domain: "",
    versions: &[10, 13, 19, 21, 23, 24, 25, 28],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["axis", "block_size", "output_dtype"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, scale) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let element = Element::from_code(node.integer("output_dtype", 0)?).unwrap_or(scale.element());
    context.room(x.shape(), element)?;
    let places = places(node, x, scale, context)?;
    let zeros = zeros(inputs, 2)?;
    if zeros.as_ref().is_some_and(|zeros| zeros.len() != scale.len()) {
        return Err(Problem::shape(2, format!("{:?}", scale.shape()), inputs.tensor(2)?.shape()));
    }
    let values: Vec<f64> = match (x.floats(), x.integers()) {
        (Some(values), _) => values.iter().map(|&value| value.into()).collect(),
        (None, Some(values)) => {
            let zero = |place: usize| zeros.as_ref().map_or(0, |zeros| i128::from(zeros[place]));
            context.crew().watched(values.iter().zip(&places), 16).map(|(value, &place)| (value - zero(place)) as f64).collect()
        }
        (None, None) => return Err(inputs.element(0, "integers or small floats")),
    };
    let scales = scale.doubles().ok_or_else(|| inputs.element(1, "floats"))?;
    precision!(element, T => {
        let y = context.crew().watched(values.iter().zip(&places), 16).map(|(&value, &place)| T::of(value) * T::of(scales[place]));
        Ok(vec![T::write(element, x.shape(), y.collect())?.into()])
    }, else => Err(Problem::Attribute { name: "output_dtype", expected: "floats" }))
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    match Element::from_code(node.integer("output_dtype", 0)?) {
        Some(element) if !element.is_real() => Err(Problem::Attribute { name: "output_dtype", expected: "floats" }),
        _ => Ok(()),
    }
}
