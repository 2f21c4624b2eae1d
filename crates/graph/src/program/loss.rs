//! The loss of class labels under log-probabilities, weighted by class; sums in row-major order from +0.

use super::array::{Array, count};
use super::index::Around;
use super::machine::Context;
use super::machine::Node;
use super::machine::{Inputs, Outcome};
use super::problem::Problem;
use super::real::{Real, precision};

/// `-log_probability · weight` at the label of each place; 0 where the label is `ignore_index`. The mean is the sum
/// divided by the sum of the weights.
pub fn of_labels(node: &Node, inputs: &Inputs, context: &mut Context, logs: &Array) -> Outcome {
    let labels = inputs.tensor(1)?;
    let around = classes(logs)?;
    let shape = [&logs.shape()[..1], &logs.shape()[2..]].concat();
    if labels.shape() != shape {
        return Err(Problem::shape(1, format!("{shape:?}"), labels.shape()));
    }
    let ignored = node.integer_or_none("ignore_index")?;
    let reduction = node.text("reduction", "mean")?;
    let element = logs.element();
    context.room(&shape, element)?;
    let stated = inputs.integers(1)?;
    let label = |place: usize| match stated[place] {
        label if Some(label) == ignored => Ok(None),
        label => match usize::try_from(label) {
            Ok(label) if label < around.size => Ok(Some(label)),
            _ => Err(Problem::value("a label", format!("0 to {}", around.size.saturating_sub(1)), label)),
        },
    };
    let labels: Result<Vec<Option<usize>>, Problem> = (0..stated.len()).map(label).collect();
    let labels = labels?;
    let weights = inputs.tensor_or_none(2)?;
    if let Some(weights) = weights.filter(|weights| weights.shape() != [around.size] || weights.element() != element) {
        return Err(Problem::shape(2, format!("[{}] of {element}", around.size), weights.shape()));
    }
    let loss = precision!(element, T => {
        let logs = T::read(logs).ok_or(Problem::Excluded)?;
        let weights = weights.map(|weights| T::read(weights).ok_or(Problem::Excluded)).transpose()?;
        let weight = |label: Option<usize>| match (label, &weights) {
            (None, _) => T::ZERO,
            (Some(label), Some(weights)) => weights[label],
            (Some(_), None) => T::ONE,
        };
        let of = |(place, &label): (usize, &Option<usize>)| match label {
            None => T::ZERO,
            Some(class) => -logs[around.at(place / around.inner, class, place % around.inner)] * weight(label),
        };
        let losses: Vec<T> = context.crew().watched(labels.iter().enumerate(), 8).map(of).collect();
        let sum = |values: &mut dyn Iterator<Item = T>| values.fold(T::ZERO, |sum, value| sum + value);
        match reduction {
            "none" => T::write(element, &shape, losses)?,
            "sum" => T::write(element, &[], vec![sum(&mut losses.into_iter())])?,
            "mean" => {
                let whole = sum(&mut labels.iter().map(|&label| weight(label)));
                T::write(element, &[], vec![sum(&mut losses.into_iter()) / whole])?
            }
            other => return Err(Problem::value("attribute reduction", "none, sum or mean", other)),
        }
    }, else => return Err(inputs.element(0, "floats")));
    Ok(vec![loss.into()])
}

/// The classes are the second axis.
pub fn classes(array: &Array) -> Result<Around, Problem> {
    match array.rank() {
        0 | 1 => Err(Problem::shape(0, "[batch, classes, …]", array.shape())),
        _ => Ok(Around::new(array.shape(), 1)),
    }
}

/// Along the classes: each less the greatest, less the logarithm of the sum of the powers of e, taken from +0 in order.
pub fn log_softmax(inputs: &Inputs, context: &mut Context) -> Result<Array, Problem> {
    let x = inputs.tensor(0)?;
    let around = classes(x)?;
    context.room(x.shape(), x.element())?;
    context.spend(x.len() as u64)?;
    precision!(x.element(), T => {
        let mut values = T::read(x).ok_or(Problem::Excluded)?.into_owned();
        let lines = 0..count(&[around.outer, around.inner]).unwrap_or(0);
        for place in context.crew().watched(lines, around.size.saturating_mul(64)) {
            let at = |class: usize| around.at(place / around.inner, class, place % around.inner);
            let most = (0..around.size).fold(-T::INFINITY, |most, class| most.greater(values[at(class)]));
            let sum = (0..around.size).fold(T::ZERO, |sum, class| sum + (values[at(class)] - most).exp());
            (0..around.size).for_each(|class| values[at(class)] = values[at(class)] - most - sum.ln());
        }
        T::write(x.element(), x.shape(), values)
    }, else => Err(inputs.element(0, "floats")))
}
