//! `STFT`: frames of the signal times the window (one product in binary64), each transformed as in `fourier.rs`.

use super::prelude::*;
use crate::program::fourier::{Angles, Complex, bins};

pub static OPERATOR: Operator = Operator {
    name: "STFT",
    domain: "",
    versions: &[17],
    inputs: (2, 4),
    outputs: (1, 1),
    attributes: &["onesided"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, window) = (inputs.tensor(0)?, inputs.tensor_or_none(2)?);
    let (batch, length, parts) = match *x.shape() {
        [batch, length] => (batch, length, 1),
        [batch, length, parts @ (1 | 2)] => (batch, length, parts),
        _ => return Err(Problem::shape(0, "a batch of signals", x.shape())),
    };
    let stated = inputs.integer_or_none(3)?.map(index::size).transpose()?;
    let frame = stated.or(window.map(|window| window.len())).unwrap_or(length);
    let step = index::size(inputs.integer(1)?)?;
    if step == 0 || frame == 0 || frame > length || frame > 1 << 24 {
        return Err(Problem::value("the frame and its step", format!("1 to {length}"), format!("{frame}, {step}")));
    }
    if window.is_some_and(|window| window.shape() != [frame]) {
        return Err(Problem::shape(2, format!("[{frame}]"), inputs.tensor(2)?.shape()));
    }
    let frames = 1 + (length - frame) / step;
    let count = bins(frame, node.flag("onesided", true)?);
    let shape = [batch, frames, count, 2];
    let places = context.room(&shape, x.element())?;
    context.spend((places as u64).saturating_mul(frame as u64 * 2))?;
    context.bytes(frame as u64 * 48)?;
    let values = x.doubles().filter(|_| x.element().is_real()).ok_or_else(|| inputs.element(0, "floats"))?;
    let weights = window.map(|window| window.doubles().ok_or_else(|| inputs.element(2, "floats"))).transpose()?;
    let crew = context.crew();
    let angles = Angles::of(frame, crew);
    let mut y = Vec::with_capacity(places);
    for signal in 0..batch {
        for start in crew.watched((0..frames).map(|frame| frame * step), frame.saturating_mul(count * 8)) {
            let number = |place: usize| {
                let at = (signal * length + start + place) * parts;
                let weight = weights.as_ref().map_or(1.0, |weights| weights[place]);
                [values[at] * weight, if parts == 2 { values[at + 1] * weight } else { 0.0 }]
            };
            let line: Vec<Complex> = (0..frame).map(number).collect();
            y.extend(angles.transform(&line, count, false, crew).into_iter().flatten());
        }
    }
    let y = precision!(x.element(), T => T::write(x.element(), &shape, y.into_iter().map(T::of).collect()), else => Err(Problem::Excluded));
    Ok(vec![y?.into()])
}
