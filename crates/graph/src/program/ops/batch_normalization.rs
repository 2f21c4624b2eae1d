//! `BatchNormalization`: each channel by given moments, `((x - mean)·inverse)·scale + bias`, `inverse = 1 / √(variance + epsilon)`. In
//! training the moments are the batch's own, and running ones are `running·momentum + own·(1 - momentum)`.

use super::prelude::*;
use crate::program::normal::placed;

pub static OPERATOR: Operator = Operator {
    name: "BatchNormalization",
    domain: "",
    versions: &[6, 7, 9, 14, 15],
    inputs: (5, 5),
    outputs: (1, 5),
    attributes: &["epsilon", "is_test", "momentum", "spatial", "training_mode"],
    run,
};

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    if node.version < 7 && !node.flag("is_test", false)? {
        return Err(Problem::Unsupported { what: "training by version 6 (is_test = 0)" });
    }
    if node.integer("spatial", 1)? == 0 {
        return Err(Problem::Unsupported { what: "a normalisation by place (spatial = 0)" });
    }
    let given = if node.flag("training_mode", false)? { 3 } else { 1 };
    match (given..node.outputs.len()).any(|output| node.wants(output)) {
        true => Err(Problem::Unsupported { what: "an output that the node names" }),
        false => Ok(()),
    }
}

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let channels = if x.rank() > 1 { x.shape()[1] } else { 1 };
    let plane: usize = x.shape().get(2..).unwrap_or(&[]).iter().product();
    check(node, context)?;
    for input in 1..5 {
        if inputs.tensor(input)?.len() != channels {
            return Err(Problem::shape(input, format!("[{channels}]"), inputs.tensor(input)?.shape()));
        }
    }
    context.room(x.shape(), x.element())?;
    context.spend((x.len() as u64).saturating_mul(4))?;
    let training = node.flag("training_mode", false)?;
    let (running, size) = (inputs.tensor(3)?.element(), [channels]);
    precision!(x.element(), T => {
        let (values, crew) = (T::read(x).ok_or(Problem::Excluded)?, context.crew());
        let of = |input: usize| -> Result<Vec<T>, Problem> {
            let array = inputs.tensor(input)?;
            let values = array.doubles().ok_or_else(|| inputs.element(input, "floats"))?;
            Ok(values.iter().map(|&value| T::of(value)).collect())
        };
        let (scale, bias, mut mean, mut variance) = (of(1)?, of(2)?, of(3)?, of(4)?);
        let mut moved = Vec::new();
        if training {
            let momentum = T::of(node.float("momentum", 0.9)?.into());
            let (own_mean, own_variance) = own(&values, channels, plane, crew);
            let mix = |old: &[T], new: &[T]| -> Vec<T> {
                old.iter().zip(new).map(|(&old, &new)| old * momentum + new * (T::ONE - momentum)).collect()
            };
            moved = vec![mix(&mean, &own_mean), mix(&variance, &own_variance)];
            (mean, variance) = (own_mean, own_variance);
        }
        let epsilon = T::of(node.float("epsilon", 1e-5)?.into());
        let inverse: Vec<T> = variance.iter().map(|&value| T::ONE / (value + epsilon).square_root()).collect();
        let y = crew.fill(values.len(), 4, T::ZERO, |at| {
            let (value, channel) = (values[at], at / plane.max(1) % channels);
            placed(value, (mean[channel], inverse[channel]), scale[channel], Some(bias[channel]))
        });
        let mut outputs = vec![T::write(x.element(), x.shape(), y)?.into()];
        for values in moved {
            let values: Vec<f64> = values.into_iter().map(Real::wide).collect();
            outputs.push(precision!(running, R => {
                R::write(running, &size, values.into_iter().map(R::of).collect())?.into()
            }, else => return Err(inputs.element(3, "floats"))));
        }
        Ok(outputs)
    }, else => Err(inputs.element(0, "floats")))
}

/// Mean and variance of each channel over batch and places, in order.
fn own<T: Real>(values: &[T], channels: usize, plane: usize, crew: &dyn Crew) -> (Vec<T>, Vec<T>) {
    let of = |channel: usize| {
        let mine = values.chunks_exact(plane.max(1)).skip(channel).step_by(channels.max(1)).flatten().copied();
        let count = T::count(values.len() / channels.max(1));
        let mean = mine.clone().fold(T::ZERO, |sum, value| sum + value) / count;
        let squares = mine.fold(T::ZERO, |sum, value| (value - mean).fma(value - mean, sum));
        (mean, squares / count)
    };
    crew.fill(channels, values.len() / channels.max(1) * 4, (T::ZERO, T::ZERO), of).into_iter().unzip()
}
