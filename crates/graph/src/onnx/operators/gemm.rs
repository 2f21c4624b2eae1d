//! `Gemm`: `x · B (or its transpose) + C` with constant `B` and `C`; alpha, beta and a transposed `x` are refused unless
//! they change nothing.

use crate::Attributes;
use crate::graph::Source;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, attribute, integer, output, problem};
use crate::onnx::proto::{AttributeValue, Node};
use crate::ops;
use crate::tensor::{Data, Tensor};
use crate::{Format, Packed};

pub const ATTRIBUTES: &[&str] = &["alpha", "beta", "transA", "transB"];

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    for name in ["alpha", "beta"] {
        match attribute(node, name) {
            None | Some(AttributeValue::Float(1.0)) => {}
            Some(_) => return Err(problem(node, format!("has an attribute {name:?} other than 1"))),
        }
    }
    if integer(node, "transA", 0)? != 0 {
        return Err(problem(node, "has a transposed first input".to_owned()));
    }
    let x = lowering.source(node, 0)?;
    if lowering.shape(x).rank() != 2 {
        return Err(problem(node, format!("has an input of shape {}, expected rank 2", lowering.shape(x))));
    }
    let weights = weights(lowering, node, 1, integer(node, "transB", 0)? == 0)?;
    let mut inputs = vec![x, weights];
    if node.inputs.get(2).is_some_and(|name| !name.is_empty()) {
        let outputs = lowering.shape(weights).with_rows(1).first().copied().unwrap_or(0);
        inputs.push(bias(lowering, node, outputs)?);
    }
    linear(lowering, node, &inputs)
}

/// A constant matrix as packed weights `[outputs, inputs]`; the file may hold it the other way round.
pub fn weights(lowering: &mut Lowering, node: &Node<'_>, index: usize, turned: bool) -> Result<Source, OnnxError> {
    let tensor = lowering.floats(node, index)?;
    let (Some(values), [rows, columns]) = (tensor.floats(), tensor.shape()) else {
        return Err(problem(node, format!("has weights of shape {:?}, expected rank 2", tensor.shape())));
    };
    let name =
        format!("{}/{}", node.inputs.get(index).copied().unwrap_or(""), if turned { "turned" } else { "packed" });
    lowering.derived(name, || {
        let column = |column: usize| values.iter().skip(column).step_by(*columns).copied();
        let packed = if turned {
            let values: Vec<f32> = (0..*columns).flat_map(column).collect();
            let shape = [*columns, *rows];
            Packed::of_floats(Format::F32, &shape, &values).map(|packed| Tensor::packed(&shape, packed))
        } else {
            let shape = [*rows, *columns];
            Packed::of_floats(Format::F32, &shape, values).map(|packed| Tensor::packed(&shape, packed))
        };
        packed.ok_or_else(|| problem(node, "has weights that cannot be packed".to_owned()))
    })
}

/// The constant `C`, one value for each output or one for all.
fn bias(lowering: &mut Lowering, node: &Node<'_>, outputs: usize) -> Result<Source, OnnxError> {
    let tensor = lowering.floats(node, 2)?;
    let values = match (tensor.floats(), tensor.shape()) {
        (Some(_), [size]) if *size == outputs => return lowering.source(node, 2),
        (Some(values), [1, size]) if *size == outputs => values.to_vec(),
        (Some(&[value]), [] | [1] | [1, 1]) => vec![value; outputs],
        (_, shape) => {
            return Err(problem(
                node,
                format!("has a third input of shape {shape:?}, expected [{outputs}] or one value"),
            ));
        }
    };
    let name = format!("{}/spread to {outputs}", node.inputs.get(2).copied().unwrap_or(""));
    lowering.derived(name, || {
        let spread = Tensor::new(&[outputs], Data::F32(values));
        spread.ok_or_else(|| problem(node, "has a third input that cannot be spread".to_owned()))
    })
}

/// Adds the exact `linear_f32`, after counting the weights that it uses.
pub fn linear(lowering: &mut Lowering, node: &Node<'_>, inputs: &[Source]) -> Result<Value, OnnxError> {
    let used = inputs.iter().skip(1).filter_map(|&source| lowering.shape(source).count(1)).sum();
    lowering.charge(used)?;
    lowering.add(node, output(node), &ops::linear_f32::OPERATOR, Attributes::new(), inputs).map(Value::Placed)
}
