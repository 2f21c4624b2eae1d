//! `AffineGrid`: places of a grid from -1 to 1 under an affine matrix, each by fma from the shift over the axes in order.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "AffineGrid",
    domain: "",
    versions: &[20],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["align_corners"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (theta, size) = (inputs.tensor(0)?, inputs.integers(1)?);
    let refused = || Problem::value("the size", "[batch, channels, …] of 2 or 3 axes", format!("{size:?}"));
    let whole: Option<Vec<usize>> = size.iter().map(|&size| usize::try_from(size).ok()).collect();
    let whole = whole.ok_or_else(refused)?;
    let [batch, _, sizes @ ..] = whole.as_slice() else { return Err(refused()) };
    let axes = sizes.len();
    if !(2..=3).contains(&axes) || theta.shape() != [*batch, axes, axes + 1] {
        return Err(Problem::shape(0, "[batch, axes, axes + 1]", theta.shape()));
    }
    let align = node.flag("align_corners", false)?;
    let shape = [&[*batch], sizes, &[axes]].concat();
    let total = context.room(&shape, theta.element())?;
    let grid = precision!(theta.element(), T => {
        let matrix = T::read(theta).ok_or(Problem::Excluded)?;
        let coordinate = |place: usize, size: usize| {
            let (place, size) = (place as f64, size as f64);
            T::of(match align {
                true if size == 1.0 => 0.0,
                true => -1.0 + place * (2.0 / (size - 1.0)),
                false => -1.0 + (2.0 * place + 1.0) / size,
            })
        };
        let steps = index::strides(sizes);
        let places: usize = sizes.iter().product();
        let one = |at: usize| {
            let (axis, place, image) = (at % axes, at / axes % places, at / axes / places);
            let row = &matrix[(image * axes + axis) * (axes + 1)..][..axes + 1];
            // Coordinates stand in the reverse order of the axes.
            (0..axes).fold(row[axes], |sum, column| {
                let own = axes - 1 - column;
                row[column].fma(coordinate(place / steps[own] % sizes[own], sizes[own]), sum)
            })
        };
        T::write(theta.element(), &shape, context.crew().fill(total, 16, T::ZERO, one))
    }, else => Err(inputs.element(0, "floats")));
    Ok(vec![grid?.into()])
}
