//! `QuantizeLinear`: `x / scale` in the precision of `precision` or else of the scale, rounded to whole numbers, ties to even, plus
//! the zero point, cut at the ends of the output's element.

use super::prelude::*;
use crate::program::scaling::{places, quantised, zeros};

pub static OPERATOR: Operator = Operator {
    name: "QuantizeLinear",
    domain: "",
    versions: &[10, 13, 19, 21, 23, 24, 25, 28],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["axis", "block_size", "output_dtype", "precision", "saturate"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, scale, zero) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let stated = Element::from_code(node.integer("output_dtype", 0)?);
    let element = stated.or(zero.map(|zero| zero.element())).unwrap_or(Element::U8);
    if zero.is_some_and(|zero| zero.len() != scale.len()) {
        return Err(Problem::shape(2, format!("{:?}", scale.shape()), inputs.tensor(2)?.shape()));
    }
    context.room(x.shape(), element)?;
    let places = places(node, x, scale, context)?;
    let zeros = zeros(inputs, 2)?;
    let numbers = |input: usize, array: &Array| match (array.doubles(), array.integers()) {
        (Some(values), _) => Ok(values.into_owned()),
        (None, Some(values)) => Ok(values.into_iter().map(|value| value as f64).collect()),
        (None, None) => Err(inputs.element(input, "numbers")),
    };
    let (values, scales): (Vec<f64>, Vec<f64>) = (numbers(0, x)?, numbers(1, scale)?);
    let wide = x.element() == Element::F64 && node.integer("precision", 0)? == 0 || scale.element() == Element::F64;
    let divided = |value: f64, scale: f64| if wide { value / scale } else { f64::from(value as f32 / scale as f32) };
    let saturate = node.flag("saturate", true)?;
    let pairs = context.crew().watched(values.iter().zip(&places), 32).map(|(&value, &place)| {
        (divided(value, scales[place]), zeros.as_ref().map_or(0, |zeros| zeros[place]))
    });
    Ok(vec![quantised(element, x.shape(), pairs, saturate)?.into()])
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    match Element::from_code(node.integer("output_dtype", 0)?) {
        Some(Element::F8E8M0) => Err(Problem::Unsupported { what: "quantisation to this element" }),
        Some(element) if !matches!(element.family(), Family::Whole | Family::Tiny) => {
            Err(Problem::Unsupported { what: "quantisation to this element" })
        }
        _ => Ok(()),
    }
}
