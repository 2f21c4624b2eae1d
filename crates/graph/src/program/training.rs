//! What the optimisers of `ai.onnx.preview.training` share: a rate, a count of updates, then tensors in groups of as many each.

use super::array::Array;
use super::element::Family;
use super::machine::Context;

use super::machine::{Inputs, Outcome};
use super::problem::Problem;
use super::real::Real;

/// What all places of a step share.
pub struct Step<T> {
    pub rate: T,
    pub updates: i64,
    pub attributes: Vec<T>,
}

/// Runs an optimiser: `groups` inputs a tensor (the value, its gradient, states), `groups - 1` outputs (value and states).
pub fn optimise(
    inputs: &Inputs,
    context: &mut Context,
    (groups, attributes): (usize, Vec<f32>),
    single: fn(&Step<f32>, &[f32]) -> [f32; 3],
    double: fn(&Step<f64>, &[f64]) -> [f64; 3],
) -> Outcome {
    let tensors = inputs.len().saturating_sub(2);
    if tensors == 0 || !tensors.is_multiple_of(groups) {
        return Err(Problem::value("the number of tensors", format!("a multiple of {groups}"), tensors));
    }
    let count = tensors / groups;
    let (rate, updates) = (inputs.number(0)?, inputs.integer(1)?);
    let mut made: Vec<Vec<Array>> = vec![Vec::new(); groups - 1];
    for tensor in 0..count {
        let x = inputs.tensor(2 + tensor)?;
        for _ in 0..groups {
            context.room(x.shape(), x.element())?;
        }
        let own: Result<Vec<&Array>, Problem> = (0..groups)
            .map(|group| {
                let input = 2 + group * count + tensor;
                let array = inputs.tensor(input)?;
                match array.shape() == x.shape() && array.element() == x.element() {
                    true => Ok(array.as_ref()),
                    false => Err(Problem::shape(input, format!("{} {:?}", x.element(), x.shape()), array.shape())),
                }
            })
            .collect();
        let own = own?;
        match x.element().family() {
            Family::Real32 => updated(&own, &Step::of(rate, updates, &attributes), context, single, &mut made)?,
            Family::Real64 => updated(&own, &Step::of(rate, updates, &attributes), context, double, &mut made)?,
            _ => return Err(inputs.element(2 + tensor, "floats")),
        }
    }
    Ok(made.into_iter().flatten().map(Into::into).collect())
}

impl<T: Real> Step<T> {
    fn of(rate: f64, updates: i64, attributes: &[f32]) -> Self {
        let attributes = attributes.iter().map(|&value| T::of(value.into())).collect();
        Self { rate: T::of(rate), updates, attributes }
    }
}

fn updated<T: Real>(
    own: &[&Array],
    step: &Step<T>,
    context: &Context,
    rule: fn(&Step<T>, &[T]) -> [T; 3],
    made: &mut [Vec<Array>],
) -> Result<(), Problem> {
    let refused = || Problem::Element { input: 2, expected: "floats", found: own[0].element().name() };
    let values: Result<Vec<_>, Problem> = own.iter().map(|array| T::read(array).ok_or_else(refused)).collect();
    let values = values?;
    let places = context
        .crew()
        .watched(0..own[0].len(), 64)
        .map(|place| values.iter().map(|values| values[place]).collect::<Vec<T>>());
    let results: Vec<[T; 3]> = places.map(|numbers| rule(step, &numbers)).collect();
    for (output, made) in made.iter_mut().enumerate() {
        let values = results.iter().map(|result| result[output]).collect();
        made.push(T::write(own[0].element(), own[0].shape(), values)?);
    }
    Ok(())
}
