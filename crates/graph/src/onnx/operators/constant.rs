//! `Constant`: a float tensor, or integers that say a shape or axes.

use std::sync::Arc;

use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, constant, output, problem};
use crate::onnx::proto::{AttributeValue, Node};
use crate::tensor::{Data, Tensor};

pub const ATTRIBUTES: &[&str] = &["value", "value_float", "value_int", "value_ints"];

pub fn lower(_: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let [attribute] = node.attributes.as_slice() else {
        return Err(problem(node, format!("has {} attributes, expected 1", node.attributes.len())));
    };
    match (attribute.name, &attribute.value) {
        ("value", AttributeValue::Tensor(tensor)) => constant(output(node), tensor),
        ("value_float", AttributeValue::Float(value)) if value.is_finite() => {
            let scalar = Tensor::new(&[], Data::F32(vec![*value]));
            scalar.map(|scalar| Value::Floats(Arc::new(scalar))).ok_or_else(|| problem(node, "is empty".to_owned()))
        }
        ("value_int", AttributeValue::Integer(value)) => Ok(Value::Integers(vec![*value])),
        ("value_ints", AttributeValue::Integers(values)) => Ok(Value::Integers(values.clone())),
        (name, _) => Err(problem(node, format!("has an attribute {name:?} that does not hold what its name says"))),
    }
}
