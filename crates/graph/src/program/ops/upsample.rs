//! `Upsample`: the older `Resize`: nearest by the floor, or linear, of asymmetric coordinates.

use super::prelude::*;
use crate::program::resample::{Kernel, Nearest, Numbers};

pub static OPERATOR: Operator = Operator {
    name: "Upsample",
    domain: "",
    versions: &[7, 9, 10],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["height_scale", "mode", "scales", "width_scale"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let scales: Vec<f64> = match (inputs.tensor_or_none(1)?, node.floats("scales")?) {
        (Some(scales), _) => scales.doubles().ok_or_else(|| inputs.element(1, "floats"))?.into_owned(),
        (None, Some(scales)) => scales.iter().map(|&scale| scale.into()).collect(),
        (None, None) => return Err(Problem::Missing { input: 1 }),
    };
    let kernel = match node.text("mode", "nearest")? {
        "nearest" => Kernel::Nearest(Nearest::Floor),
        "linear" | "bilinear" => Kernel::Linear { antialias: false },
        other => return Err(Problem::value("attribute mode", "nearest or linear", other)),
    };
    let axes: Vec<usize> = (0..x.rank()).collect();
    let mut numbers = Numbers::of(x).ok_or_else(|| inputs.element(0, "numbers"))?;
    context.bytes(x.len() as u64 * 8)?;
    for (axis, (scale, size)) in super::resize::by_scales(x, &axes, &scales)?.into_iter().enumerate() {
        context.bytes((size as u64).saturating_mul(96))?;
        let taps: Vec<_> = (0..size).map(|place| kernel.taps(place as f64 / scale, scale)).collect();
        numbers = numbers.along(axis, &taps, 0.0, context)?;
    }
    Ok(vec![numbers.write(x)?.into()])
}
