//! `Col2Im`: adds the columns of windows back to an image; each place is the sum from +0 of what falls there, by the kernel's places
//! in order, then the windows in order.

use super::prelude::*;
use crate::program::window::Windows;

pub static OPERATOR: Operator = Operator {
    name: "Col2Im",
    domain: "",
    versions: &[18],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["dilations", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let sizes = |input| inputs.integers(input)?.into_iter().map(index::size).collect::<Result<Vec<usize>, Problem>>();
    let (picture, block) = (sizes(1)?, sizes(2)?);
    let windows = Windows::new(node, &picture, &block)?;
    let (columns, places) = (count(&windows.output), count(&block));
    let (&[batch, stacked, found], Some(columns), Some(places)) = (x.shape(), columns, places) else {
        return Err(Problem::shape(0, "[batch, channels · kernel, windows]", x.shape()));
    };
    if found != columns || stacked % places != 0 {
        return Err(Problem::shape(0, format!("[_, _ · {places}, {columns}]"), x.shape()));
    }
    let channels = stacked / places;
    let mut shape = vec![batch, channels];
    shape.extend_from_slice(&picture);
    let all = context.room(&shape, x.element())?;
    context.spend(x.len() as u64)?;
    windows.ask_taps(context)?;
    let taps = windows.listed(context.crew());
    let mut falls: Vec<(u32, usize, u32)> = Vec::new();
    context.bytes(x.len() as u64 * 16)?;
    for (column, taps) in taps.windows().enumerate() {
        falls.extend(taps.iter().map(|&(place, at)| (place, column, at)));
    }
    falls.sort_unstable();
    let plane: usize = picture.iter().product();
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let mut sums = vec![T::ZERO; all];
        for line in 0..batch * channels {
            for &(place, column, at) in context.crew().watched(&falls, 8) {
                let sum = &mut sums[line * plane + at as usize];
                *sum += values[(line * places + place as usize) * columns + column];
            }
        }
        Ok(vec![T::write(x.element(), &shape, sums)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
