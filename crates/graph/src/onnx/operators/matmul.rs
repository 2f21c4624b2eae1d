//! `MatMul` of a value with a constant matrix. A product of two computed matrices is refused.

use super::gemm;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value};
use crate::onnx::proto::Node;

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let inputs = [lowering.source(node, 0)?, gemm::weights(lowering, node, 1, true)?];
    gemm::linear(lowering, node, &inputs)
}
