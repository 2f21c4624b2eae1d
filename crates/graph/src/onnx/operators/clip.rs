//! `Clip` with constant bounds; a bound that is left out is the largest finite float.

use crate::Attributes;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, output, problem};
use crate::onnx::proto::Node;
use crate::ops;

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let low = bound(lowering, node, 1, f32::MIN)?;
    let high = bound(lowering, node, 2, f32::MAX)?;
    if low > high {
        return Err(problem(node, format!("has the bounds {low} and {high}, expected the lower first")));
    }
    let x = lowering.source(node, 0)?;
    let attributes = Attributes::new().with("low", low).with("high", high);
    lowering.add(node, output(node), &ops::clip_f32::OPERATOR, attributes, &[x]).map(Value::Placed)
}

fn bound(lowering: &Lowering, node: &Node<'_>, index: usize, absent: f32) -> Result<f32, OnnxError> {
    if node.inputs.get(index).is_none_or(|name| name.is_empty()) {
        return Ok(absent);
    }
    let tensor = lowering.floats(node, index)?;
    match tensor.floats() {
        Some(&[value]) => Ok(value),
        _ => Err(problem(node, format!("has a bound of {} elements as input {index}, expected 1", tensor.len()))),
    }
}
