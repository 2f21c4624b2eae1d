//! `MaxUnpool`: puts the values of a `MaxPool` back to where its indices say, 0 elsewhere; of two for one place the later counts.

use super::prelude::*;
use crate::program::window::{image, sizes};

pub static OPERATOR: Operator = Operator {
    name: "MaxUnpool",
    domain: "",
    versions: &[9, 11, 22],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["kernel_shape", "pads", "strides"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let places = inputs.integers(1)?;
    let (batch, channels, spatial) = image(x.shape(), 0)?;
    let axes = spatial.len();
    let kernel = sizes(node, "kernel_shape", axes, 1, 1)?;
    let strides = sizes(node, "strides", axes, 1, 1)?;
    let pads = sizes(node, "pads", axes * 2, 0, 0)?;
    let size = |axis: usize| {
        let whole = (spatial[axis].saturating_sub(1)) * strides[axis] + kernel[axis];
        whole.saturating_sub(pads[axis] + pads[axes + axis])
    };
    let mut inferred = vec![batch, channels];
    inferred.extend((0..axes).map(size));
    // Indices count in the shape that the pooling's attributes give, whatever shape is asked for.
    let shape = match inputs.integers_or_none(2)? {
        Some(stated) => stated.into_iter().map(index::size).collect::<Result<Vec<usize>, Problem>>()?,
        None => inferred.clone(),
    };
    if shape.len() != inferred.len() || places.len() != x.len() {
        return Err(Problem::shape(1, format!("{:?}", x.shape()), inputs.tensor(1)?.shape()));
    }
    let all = context.room(&shape, x.element())?;
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let mut y = vec![T::ZERO; all];
        for (&value, &place) in context.crew().watched(values.iter().zip(&places), 16) {
            let mut rest = usize::try_from(place).map_err(|_| Problem::value("an index", "0 or more", place))?;
            let mut at = 0;
            let mut step = 1;
            for axis in (0..shape.len()).rev() {
                let inside = rest % inferred[axis].max(1);
                rest /= inferred[axis].max(1);
                at += inside * step;
                step *= shape[axis];
            }
            *y.get_mut(at).ok_or_else(|| Problem::value("an index", format!("below {all}"), place))? = value;
        }
        Ok(vec![T::write(x.element(), &shape, y)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
