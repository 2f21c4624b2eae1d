//! `MatMul` of a value with a constant matrix. A product of two computed matrices is refused.

use crate::Attributes;
use crate::onnx::OnnxError;
use crate::onnx::lower::{Lowering, Value, output};
use crate::onnx::proto::Node;
use crate::ops;

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let inputs = [lowering.source(node, 0)?, super::gemm::transposed(lowering, node, 1)?];
    lowering.add(node, output(node), &ops::linear_f32::OPERATOR, Attributes::new(), &inputs).map(Value::Placed)
}
