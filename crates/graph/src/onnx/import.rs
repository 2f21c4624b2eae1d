//! From the nodes of an ONNX file to ordered operators, one after the other.

use super::error::OnnxError;
use super::external::OnnxFile;
use super::lowering::{Lowering, Value, constant, problem};
use super::names::{self, describe};
use super::proto::{self, Node};
use super::{OPSETS, operators};
use crate::graph::Graph;

/// The ordered graph of an ONNX file. Its one symbolic dimension becomes `Rows`.
pub fn import<'a>(file: impl Into<OnnxFile<'a>>) -> Result<Graph, OnnxError> {
    let model = proto::read_model(file.into())?;
    if !OPSETS.contains(&model.opset) {
        return Err(OnnxError::Opset { found: model.opset, low: *OPSETS.start(), high: *OPSETS.end() });
    }
    names::check(&model.graph)?;
    check_supported(&model.graph.nodes)?;
    let mut lowering = Lowering::default();
    for tensor in &model.graph.initializers {
        lowering.define(tensor.name, constant(tensor.name, tensor)?);
    }
    lowering.add_inputs(&model.graph.inputs)?;
    for node in &model.graph.nodes {
        let value = lower(&mut lowering, node)?;
        for &output in &node.outputs {
            lowering.define(output, value.clone());
        }
    }
    for output in &model.graph.outputs {
        lowering.add_output(output)?;
    }
    Ok(lowering.finish())
}

/// Names every node whose operator is not in the table, up to a limit, before anything is computed.
fn check_supported(nodes: &[Node<'_>]) -> Result<(), OnnxError> {
    let unknown: Vec<String> = nodes.iter().filter(|node| operators::find(node.kind).is_none()).map(describe).collect();
    if unknown.is_empty() { Ok(()) } else { Err(OnnxError::UnsupportedOperators { nodes: names::list_of(unknown) }) }
}

fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let operator =
        operators::find(node.kind).ok_or_else(|| OnnxError::UnsupportedOperators { nodes: describe(node) })?;
    let (low, high) = operator.inputs;
    let found = node.inputs.len();
    if found < low || found > high {
        return Err(problem(node, format!("has {found} inputs, expected {low} to {high}")));
    }
    if node.outputs.len() != 1 {
        return Err(problem(node, format!("has {} outputs, expected 1", node.outputs.len())));
    }
    for (index, attribute) in node.attributes.iter().enumerate() {
        if !operator.attributes.contains(&attribute.name) {
            return Err(problem(node, format!("has the unknown attribute {:?}", attribute.name)));
        }
        if node.attributes.iter().take(index).any(|earlier| earlier.name == attribute.name) {
            return Err(problem(node, format!("has the attribute {:?} twice", attribute.name)));
        }
    }
    (operator.lower)(lowering, node)
}
