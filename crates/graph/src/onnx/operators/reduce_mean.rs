//! `ReduceMean` over the innermost axis. Until operator set 17 the axes are an attribute, from 18 an input.

use crate::Attributes;
use crate::graph::Source;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, attribute, axis, integer, output, problem};
use crate::onnx::operators::reshape;
use crate::onnx::proto::{AttributeValue, Node};
use crate::ops;

pub const ATTRIBUTES: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let axes = match (node.inputs.len(), attribute(node, "axes")) {
        (1, Some(AttributeValue::Integers(axes))) => axes.clone(),
        (2, None) => lowering.integers(node, 1)?,
        _ => return Err(problem(node, "lacks its axes".to_owned())),
    };
    let x = lowering.source(node, 0)?;
    let rank = lowering.shape(x).rank();
    let [reduced] = axes.as_slice() else {
        return Err(problem(node, format!("reduces {} axes, expected 1", axes.len())));
    };
    if axis(node, *reduced, rank)?.saturating_add(1) != rank {
        return Err(problem(node, "reduces an axis that is not the innermost".to_owned()));
    }
    let mean = lowering.add(node, output(node), &ops::mean_f32::OPERATOR, Attributes::new(), &[x])?;
    if integer(node, "keepdims", 1)? == 0 { drop_innermost(lowering, node, mean) } else { Ok(Value::Placed(mean)) }
}

fn drop_innermost(lowering: &mut Lowering, node: &Node<'_>, mean: Source) -> Result<Value, OnnxError> {
    let mut shape = lowering.shape(mean);
    shape.0.pop();
    reshape::to_shape(lowering, node, mean, &shape)
}
