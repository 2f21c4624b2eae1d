//! `DequantizeLinear` of bytes and of i32 to binary32, run by run of one scale.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome};

use super::{Row, product::Build, row, spans::Spans};

pub const ROW: Row = row!("DequantizeLinear", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, scale, zero) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let stated = Element::from_code(node.integer("output_dtype", 0)?);
    let fits = zero.is_none_or(|zero| zero.element() == x.element() && zero.len() == scale.len());
    let single = stated.unwrap_or(scale.element()) == Element::F32 && fits;
    let (Data::F32(scales), Some(spans), true) = (scale.data(), Spans::of(node, x, scale), single) else {
        return (node.operator.run)(node, inputs, context);
    };
    // Elements of 4 bits are held as bytes too, but their zero points are of their own kind, as is told by `fits`.
    let zeros = match zero.map(|zero| zero.data()) {
        None => vec![0_i64; scales.len()],
        Some(Data::U8(zeros)) => zeros.iter().map(|&zero| zero.into()).collect(),
        Some(Data::I8(zeros)) => zeros.iter().map(|&zero| zero.into()).collect(),
        Some(Data::I32(zeros)) => zeros.iter().map(|&zero| zero.into()).collect(),
        Some(_) => return (node.operator.run)(node, inputs, context),
    };
    if !matches!(x.element(), Element::U8 | Element::I8 | Element::I32) {
        return (node.operator.run)(node, inputs, context);
    }
    context.room(x.shape(), Element::F32)?;
    spans.ask(x, context)?;
    let mut y = vec![0.0; x.len()];
    let crew = context.crew();
    match x.data() {
        Data::U8(x) => spans.each::<B, _, _>(crew, x, &mut y, |x, y, at| bytes(x, y, scales[at], zeros[at])),
        Data::I8(x) => spans.each::<B, _, _>(crew, x, &mut y, |x, y, at| bytes(x, y, scales[at], zeros[at])),
        Data::I32(x) => spans.each::<B, _, _>(crew, x, &mut y, |x, y, at| wide(x, y, scales[at], zeros[at])),
        _ => {}
    }
    Ok(vec![Array::f32s(x.shape(), y)?.into()])
}

/// Differences of bytes are binary32.
#[inline(always)]
fn bytes<T: Copy + Into<i32>>(x: &[T], y: &mut [f32], scale: f32, zero: i64) {
    let zero = zero as i32;
    for (y, &x) in y.iter_mut().zip(x) {
        *y = (x.into() - zero) as f32 * scale;
    }
}

/// Other differences are rounded once.
#[inline(always)]
fn wide(x: &[i32], y: &mut [f32], scale: f32, zero: i64) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = (i64::from(x) - zero) as f32 * scale;
    }
}
