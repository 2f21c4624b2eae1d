//! `DynamicQuantizeLinear`: from the least and greatest element (0 among them), in f32: `scale = (greatest - least) / 255`, `zero =` the
//! nearest whole number to `0 - least / scale`, ties to even, cut to 0 … 255; then as `QuantizeLinear`.

use super::prelude::*;
use crate::program::scaling::quantised;

pub static OPERATOR: Operator = Operator {
    name: "DynamicQuantizeLinear",
    domain: "",
    versions: &[11],
    inputs: (1, 1),
    outputs: (3, 3),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), Element::U8)?;
    let values = f32::read(x).ok_or_else(|| inputs.element(0, "float"))?;
    let crew = context.crew();
    let (low, high) = crew.watched(values.iter(), 4).fold((0_f32, 0_f32), |(low, high), &value| {
        (if value < low { value } else { low }, if value > high { value } else { high })
    });
    let scale = (high - low) / 255.0;
    // All zeros have no scale; whole numbers that are 0 say so with any.
    let divide = |value: f32| if scale == 0.0 { 0.0 } else { value / scale };
    let zero = (0.0 - divide(low)).round_ties_even().clamp(0.0, 255.0) as i64;
    let y = quantised(Element::U8, x.shape(), crew.watched(values.iter(), 32).map(|&value| (divide(value).into(), zero)), true)?;
    let zero = Array::wholes(Element::U8, &[], std::iter::once(zero.into()))?;
    Ok(vec![y.into(), Array::f32s(&[], vec![scale])?.into(), zero.into()])
}
