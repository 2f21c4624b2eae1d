//! Operators on single elements, and `Identity`, which makes nothing.

use crate::Attributes;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, output};
use crate::onnx::proto::Node;
use crate::operator::Operator;
use crate::ops;

pub fn relu(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    map(lowering, node, &ops::relu_f32::OPERATOR)
}

pub fn exp(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    map(lowering, node, &ops::exp_f32::OPERATOR)
}

pub fn sigmoid(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    map(lowering, node, &ops::sigmoid_f32::OPERATOR)
}

pub fn tanh(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    map(lowering, node, &ops::tanh_f32::OPERATOR)
}

pub fn identity(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    lowering.value(node, 0)
}

fn map(lowering: &mut Lowering, node: &Node<'_>, operator: &'static Operator) -> Result<Value, OnnxError> {
    let x = lowering.source(node, 0)?;
    lowering.add(node, output(node), operator, Attributes::new(), &[x]).map(Value::Placed)
}
