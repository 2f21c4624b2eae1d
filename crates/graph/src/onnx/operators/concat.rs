//! `Concat` of floats along an axis of fixed sizes.

use crate::Attributes;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, attribute, axis, integer, output, problem};
use crate::onnx::proto::Node;
use crate::ops;

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let inputs: Result<Vec<_>, _> = (0..node.inputs.len()).map(|index| lowering.source(node, index)).collect();
    let inputs = inputs?;
    if attribute(node, "axis").is_none() {
        return Err(problem(node, "lacks the attribute \"axis\"".to_owned()));
    }
    let rank = inputs.first().map_or(0, |&first| lowering.shape(first).rank());
    let axis = axis(node, integer(node, "axis", 0)?, rank)?;
    let attributes = Attributes::new().with("axis", axis as i64);
    lowering.add(node, output(node), &ops::concat::OPERATOR, attributes, &inputs).map(Value::Placed)
}
