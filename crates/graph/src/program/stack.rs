//! Tensors of one shape laid upon each other along a new axis, and taken apart again: what loops give and take.

use super::array::Array;
use super::index;
use super::machine::Context;
use super::ops::{cut, join};
use super::problem::Problem;
use super::value::Value;

/// One upon the other along a new axis; nothing is an empty tensor of floats.
pub fn pile(values: &[Value], axis: i64, context: &mut Context) -> Result<Array, Problem> {
    let Some(first) = values.first() else { return Array::f32s(&[0], Vec::new()) };
    let refused = || Problem::Kind { input: 0, expected: "tensors", found: first.name() };
    let raised: Result<Vec<Array>, Problem> = values
        .iter()
        .map(|value| {
            let array = value.as_tensor().ok_or_else(refused)?;
            let mut shape = array.shape().to_vec();
            shape.insert(index::axis(axis, shape.len() + 1)?, 1);
            context.bytes(array.weight())?;
            array.reshaped(&shape)
        })
        .collect();
    join(&raised?.iter().collect::<Vec<_>>(), axis, context)
}

/// The slices of a tensor along an axis, without it.
pub fn unpile(value: &Value, axis: i64, context: &mut Context) -> Result<Vec<Value>, Problem> {
    let array = value.as_tensor().ok_or(Problem::Kind { input: 0, expected: "a tensor", found: value.name() })?;
    let axis = index::axis(axis, array.rank())?;
    let mut shape = array.shape().to_vec();
    shape.remove(axis);
    (0..array.shape()[axis])
        .map(|start| cut(array, axis, start, 1, context)?.reshaped(&shape).map(Value::from))
        .collect()
}
