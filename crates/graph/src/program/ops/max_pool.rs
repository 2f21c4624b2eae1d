//! `MaxPool`: the greatest of a window, a NaN being greater than all; and where it stands first, as a flat index in the whole input.

use super::prelude::*;
use crate::program::pool::Pooling;

pub static OPERATOR: Operator = Operator {
    name: "MaxPool",
    domain: "",
    versions: &[1, 8, 10, 11, 12, 22],
    inputs: (1, 1),
    outputs: (1, 2),
    attributes: &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let pooling = Pooling::new(node, x, context)?;
    context.room(&pooling.shape, x.element())?;
    context.room(&pooling.shape, Element::I64)?;
    let by_column = node.flag("storage_order", false)?;
    let places: Vec<Option<usize>> = precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        greatest(&pooling, &values, context.crew(), |one, other| !other.is_nan() && (one > other || one.is_nan()))
    }, else => {
        let values = x.integers().filter(|_| x.element() != Element::Bool);
        greatest(&pooling, &values.ok_or_else(|| inputs.element(0, "numbers"))?, context.crew(), |one, other| one > other)
    });
    let per_line: usize = pooling.windows.output.iter().product();
    let line_of = |window: usize| window / per_line.max(1) * pooling.plane;
    // A window wholly in the padding has no greatest; the standard forbids it.
    let flat: Option<Vec<usize>> =
        places.iter().enumerate().map(|(window, place)| place.map(|place| line_of(window) + place)).collect();
    let flat = flat.ok_or(Problem::Value {
        what: "a window",
        expected: "at least one place on the input".to_owned(),
        found: "padding alone".to_owned(),
    })?;
    let y = x.take(&pooling.shape, &flat)?;
    let index = |&flat: &usize| match by_column {
        true => flat / pooling.plane * pooling.plane + by_columns(flat % pooling.plane, &pooling.windows.input),
        false => flat,
    };
    let indices = flat.iter().map(|flat| index(flat) as i64).collect();
    Ok(vec![y.into(), Array::i64s(&pooling.shape, indices)?.into()])
}

fn greatest<T: Copy + Sync>(
    pooling: &Pooling,
    values: &[T],
    crew: &dyn Crew,
    beats: impl Fn(T, T) -> bool + Sync,
) -> Vec<Option<usize>> {
    pooling.each(values, crew, |_, plane, taps| {
        let pick = |best: Option<usize>, &(_, at): &(u32, u32)| match best {
            Some(best) if !beats(plane[at as usize], plane[best]) => Some(best),
            _ => Some(at as usize),
        };
        taps.iter().fold(None, pick)
    })
}

/// A place's index where the first spatial axis varies fastest.
fn by_columns(mut place: usize, sizes: &[usize]) -> usize {
    let mut at = vec![0; sizes.len()];
    for axis in (0..sizes.len()).rev() {
        at[axis] = place % sizes[axis];
        place /= sizes[axis];
    }
    at.iter().zip(sizes).rev().fold(0, |index, (at, size)| index * size + at)
}
