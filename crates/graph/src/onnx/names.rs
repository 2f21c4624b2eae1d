//! Whether an ONNX graph hangs together: every value is made once, before it is used, by something that exists.
//!
//! ONNX demands nodes in an order in which they can run; a cycle has no such order, so it is refused by the same rule.

use std::collections::BTreeSet;

use super::error::OnnxError;
use super::proto::{Graph, Node};

/// How a node is named in errors: by its name, else by what it makes.
pub(super) fn describe(node: &Node<'_>) -> String {
    let name = if node.name.is_empty() { node.outputs.first().copied().unwrap_or("?") } else { node.name };
    format!("node {name:?} ({})", node.kind)
}

/// The first names of a list, and how many more there are.
pub(super) fn list_of(names: Vec<String>) -> String {
    const NAMED_MAX: usize = 8;
    let more = names.len().saturating_sub(NAMED_MAX);
    let mut named = names.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    named
}

/// Refuses names made twice, uses of what nothing makes, and cycles.
pub(super) fn check(graph: &Graph<'_>) -> Result<(), OnnxError> {
    for (what, empty) in
        [("nodes", graph.nodes.is_empty()), ("inputs", graph.inputs.is_empty()), ("outputs", graph.outputs.is_empty())]
    {
        if empty {
            return Err(OnnxError::Empty { what });
        }
    }
    let mut made = BTreeSet::new();
    for tensor in &graph.initializers {
        make(&mut made, tensor.name)?;
    }
    let mut inputs = BTreeSet::new();
    for input in &graph.inputs {
        make(&mut inputs, input.name)?;
    }
    // Older writers list initializers among the inputs too; those are constants, not inputs of a call.
    made.append(&mut inputs);
    let later: BTreeSet<&str> = graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()).collect();
    for node in &graph.nodes {
        for &value in node.inputs.iter().filter(|value| !value.is_empty()) {
            find(&made, &later, value, || describe(node))?;
        }
        for &value in &node.outputs {
            make(&mut made, value)?;
        }
    }
    let mut outputs = BTreeSet::new();
    for output in &graph.outputs {
        make(&mut outputs, output.name)?;
        find(&made, &later, output.name, || "the graph's output".to_owned())?;
    }
    Ok(())
}

fn make<'a>(made: &mut BTreeSet<&'a str>, value: &'a str) -> Result<(), OnnxError> {
    if value.is_empty() {
        return Err(OnnxError::Missing { message: "a value", field: "name" });
    }
    if made.insert(value) { Ok(()) } else { Err(OnnxError::DuplicateName { value: value.to_owned() }) }
}

fn find(
    made: &BTreeSet<&str>,
    later: &BTreeSet<&str>,
    value: &str,
    user: impl Fn() -> String,
) -> Result<(), OnnxError> {
    if made.contains(value) {
        Ok(())
    } else if later.contains(value) {
        Err(OnnxError::Cycle { user: user(), value: value.to_owned() })
    } else {
        Err(OnnxError::Dangling { user: user(), value: value.to_owned() })
    }
}
