//! `Add`, `Sub`, `Mul` and `Div` of floats, with ONNX's broadcasting, which is the exact graph's too.

use crate::Attributes;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, output};
use crate::onnx::proto::Node;
use crate::operator::Operator;
use crate::ops;

pub fn add(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    combine(lowering, node, &ops::add_f32::OPERATOR)
}

pub fn subtract(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    combine(lowering, node, &ops::subtract_f32::OPERATOR)
}

pub fn multiply(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    combine(lowering, node, &ops::multiply_f32::OPERATOR)
}

pub fn divide(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    combine(lowering, node, &ops::divide_f32::OPERATOR)
}

fn combine(lowering: &mut Lowering, node: &Node<'_>, operator: &'static Operator) -> Result<Value, OnnxError> {
    let inputs = [lowering.source(node, 0)?, lowering.source(node, 1)?];
    lowering.add(node, output(node), operator, Attributes::new(), &inputs).map(Value::Placed)
}
