//! `Softmax` over the innermost axis, which is what ONNX defaults to.

use crate::Attributes;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, axis, integer, output, problem};
use crate::onnx::proto::Node;
use crate::ops;

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let x = lowering.source(node, 0)?;
    let rank = lowering.shape(x).rank();
    if axis(node, integer(node, "axis", -1)?, rank)?.saturating_add(1) != rank {
        return Err(problem(node, "works along an axis that is not the innermost".to_owned()));
    }
    lowering.add(node, output(node), &ops::softmax_f32::OPERATOR, Attributes::new(), &[x]).map(Value::Placed)
}
