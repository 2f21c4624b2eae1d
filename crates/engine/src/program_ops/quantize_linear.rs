//! `QuantizeLinear` of binary32 to bytes, run by run of one scale.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, Problem};

use super::{Row, product::Build, row, spans::Spans};

pub const ROW: Row = row!("QuantizeLinear", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, scale, zero) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let stated = Element::from_code(node.integer("output_dtype", 0)?);
    let element = stated.or(zero.map(|zero| zero.element())).unwrap_or(Element::U8);
    let fits = zero.is_none_or(|zero| zero.element() == element && zero.len() == scale.len());
    let (Data::F32(values), Data::F32(scales), Some(spans), true) =
        (x.data(), scale.data(), Spans::of(node, x, scale), fits)
    else {
        return (node.operator.run)(node, inputs, context);
    };
    let zeros: Vec<i32> = match zero.map(|zero| zero.data()) {
        None => vec![0; scales.len()],
        Some(Data::U8(zeros)) => zeros.iter().map(|&zero| zero.into()).collect(),
        Some(Data::I8(zeros)) => zeros.iter().map(|&zero| zero.into()).collect(),
        Some(_) => return (node.operator.run)(node, inputs, context),
    };
    let data = match element {
        Element::U8 | Element::I8 => {
            context.room(x.shape(), element)?;
            spans.ask(x, context)?;
            // The precision of the division is binary32 for these elements; a wrong attribute is refused all the same.
            node.flag("saturate", true)?;
            let (low, high) = if element == Element::U8 { (0, 255) } else { (-128, 127) };
            let mut wide = vec![0_i32; values.len()];
            spans.each::<B, _, _>(context.crew(), values, &mut wide, |x, y, at| {
                quantise(x, y, (scales[at], zeros[at]), (low, high));
            });
            if element == Element::U8 {
                Data::U8(wide.into_iter().map(|value| value as u8).collect())
            } else {
                Data::I8(wide.into_iter().map(|value| value as i8).collect())
            }
        }
        _ => return (node.operator.run)(node, inputs, context),
    };
    Ok(vec![Array::of(element, x.shape(), data).map_err(|_| Problem::Excluded)?.into()])
}

/// Beyond it every byte is cut, whatever its zero point; all whole numbers to here are binary32.
const FAR: f32 = 1_048_576.0;

#[inline(always)]
fn quantise(x: &[f32], y: &mut [i32], (scale, zero): (f32, i32), (low, high): (i32, i32)) {
    for (y, &x) in y.iter_mut().zip(x) {
        let whole = (x / scale).round_ties_even();
        let whole = if whole > -FAR { whole } else { -FAR };
        let whole = if whole < FAR { whole } else { FAR };
        // What is no number counts as 0.
        let whole = if (x / scale).is_nan() { 0.0 } else { whole };
        *y = (whole as i32 + zero).max(low).min(high);
    }
}
