//! `DFT`: the transform of `fourier.rs` along an axis, lines cut or filled up with zeros to its length. The inverse of half a spectrum is real.

use super::prelude::*;
use crate::program::fourier::{Angles, Complex, bins, mirrored};

pub static OPERATOR: Operator = Operator {
    name: "DFT",
    domain: "",
    versions: &[17, 20],
    inputs: (1, 3),
    outputs: (1, 1),
    attributes: &["axis", "inverse", "onesided"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let (parts, outer) = match x.shape().split_last() {
        Some((&parts @ (1 | 2), outer)) if !outer.is_empty() => (parts, outer),
        _ => return Err(Problem::shape(0, "a signal of real or complex numbers", x.shape())),
    };
    let axis = match (node.version < 20, inputs.integer_or_none(2)?) {
        (true, _) => node.integer("axis", 1)?,
        (false, axis) => axis.unwrap_or(-2),
    };
    let axis = index::axis(axis, x.rank())?;
    if axis == x.rank() - 1 {
        return Err(Problem::value("the axis", "one in front of the last", axis));
    }
    let (inverse, onesided) = (node.flag("inverse", false)?, node.flag("onesided", false)?);
    let real = inverse && onesided;
    let length = match inputs.integer_or_none(1)? {
        Some(length) => index::size(length)?,
        None if real => 2 * outer[axis].saturating_sub(1),
        None => outer[axis],
    };
    let count = if real { length } else { bins(length, onesided) };
    if length == 0 || length > 1 << 24 {
        return Err(Problem::value("the length of the transform", "1 to 2^24", length));
    }
    let mut shape = x.shape().to_vec();
    (shape[axis], shape[x.rank() - 1]) = (count, if real { 1 } else { 2 });
    let places = context.room(&shape, x.element())?;
    context.spend((places as u64).saturating_mul(length as u64 * 2))?;
    context.bytes(length as u64 * 48)?;
    let values = x.doubles().filter(|_| x.element().is_real()).ok_or_else(|| inputs.element(0, "floats"))?;
    let around = Around::new(outer, axis);
    let crew = context.crew();
    let angles = Angles::of(length, crew);
    let mut y = vec![0.0; places];
    for (before, behind) in crew.watched(around.lines(), length.saturating_mul(count * 8)) {
        let number = |place: usize| {
            let at = around.at(before, place, behind) * parts;
            [values[at], if parts == 2 { values[at + 1] } else { 0.0 }]
        };
        let mut line: Vec<Complex> = (0..around.size.min(length)).map(number).collect();
        if real {
            line = mirrored(&line, length);
        }
        for (place, [re, im]) in angles.transform(&line, count, inverse, crew).into_iter().enumerate() {
            let at = (before * count + place) * around.inner + behind;
            match real {
                true => y[at] = re,
                false => (y[at * 2], y[at * 2 + 1]) = (re, im),
            }
        }
    }
    let y = precision!(x.element(), T => T::write(x.element(), &shape, y.into_iter().map(T::of).collect()), else => Err(Problem::Excluded));
    Ok(vec![y?.into()])
}
