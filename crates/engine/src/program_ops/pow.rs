//! `Pow` of binary32 to the one power 2 or 1/2: a product or a root, which round as the meaning's wider steps do.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, index};

use super::{Row, product::Build, row};

pub const ROW: Row = row!("Pow", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, power) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let stated = if power.len() == 1 { inputs.number(1)? } else { 0.0 };
    let (Data::F32(values), true) = (x.data(), (stated == 2.0 || stated == 0.5) && power.rank() <= x.rank()) else {
        return (node.operator.run)(node, inputs, context);
    };
    let shape = index::broadcast(x.shape(), power.shape())?;
    let places = context.room(&shape, Element::F32)?;
    context.bytes((places as u64).saturating_mul(32))?;
    // The root of -∞ alone is none, and its power is; -0 has the power +0.
    let root = |x: f32| if x == f32::NEG_INFINITY { f32::INFINITY } else { (x + 0.0).sqrt() };
    let mut y = values.clone();
    context.crew().rows(&mut y, 1, 1, |_, y| {
        B::plain(|| {
            for x in y {
                *x = if stated == 2.0 { *x * *x } else { root(*x) };
            }
        });
    });
    Ok(vec![Array::f32s(&shape, y)?.into()])
}
