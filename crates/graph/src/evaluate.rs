//! The reference evaluator: every node by its operator's meaning, one after the other, over all rows at once.
//!
//! Slow and obvious on purpose: it is the oracle for the kernels, and what a dispute is decided by.

use crate::{
    graph::{Checked, Source},
    tensor::Tensor,
};

pub use crate::refusal::Fault;

/// The outputs for these inputs, in the order of the graph's outputs.
pub fn evaluate(checked: &Checked, inputs: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
    let values = trace(checked, inputs)?;
    let sources = checked.graph().outputs.iter().map(|output| output.source);
    sources.map(|source| value(checked, inputs, &values, source).cloned()).collect()
}

/// The output of every node, in order: what a trace commits to.
pub fn trace(checked: &Checked, inputs: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
    check_inputs(checked, inputs)?;
    let mut values: Vec<Tensor> = Vec::new();
    for node in &checked.graph().nodes {
        let arguments: Result<Vec<&Tensor>, Fault> =
            node.inputs.iter().map(|&source| value(checked, inputs, &values, source)).collect();
        let output = (node.operator.meaning)(&node.attributes, &arguments?)?;
        values.push(output);
    }
    Ok(values)
}

fn value<'a>(
    checked: &'a Checked,
    inputs: &'a [Tensor],
    values: &'a [Tensor],
    source: Source,
) -> Result<&'a Tensor, Fault> {
    let found = match source {
        Source::Input(index) => inputs.get(index),
        Source::Constant(index) => checked.graph().constants.get(index).map(|constant| constant.tensor.as_ref()),
        Source::Node(index) => values.get(index),
    };
    found.ok_or(Fault::Excluded { operator: "graph" })
}

/// Refuses inputs that the graph does not take; says how many rows the call has (1 where no input has rows).
pub fn check_inputs(checked: &Checked, inputs: &[Tensor]) -> Result<usize, Fault> {
    let expected = &checked.graph().inputs;
    if expected.len() != inputs.len() {
        return Err(Fault::Inputs { expected: expected.len(), found: inputs.len() });
    }
    let mut rows = None;
    for (index, (input, tensor)) in expected.iter().zip(inputs).enumerate() {
        if input.element != tensor.element() {
            let (expected, found) = (input.element, tensor.element());
            return Err(Fault::Element { name: input.name.clone(), expected, found });
        }
        let shape = tensor.shape();
        let place = input.shape.0.iter().position(|dimension| *dimension == crate::shape::Dimension::Rows);
        let found_rows = place.and_then(|place| shape.get(place).copied());
        rows = rows.or(found_rows);
        if input.shape.with_rows(found_rows.unwrap_or(1)) != shape {
            let expected = input.shape.to_string();
            return Err(Fault::Shape { name: input.name.clone(), expected, found: shape.to_vec() });
        }
        let limit = checked.rows_max();
        match found_rows {
            Some(found) if found == 0 || found > limit || rows != found_rows => {
                return Err(Fault::Rows { found, limit });
            }
            _ => {}
        }
        check_values(checked, index, tensor)?;
    }
    Ok(rows.unwrap_or(1))
}

/// Whether an input goes into `order` alone, for which a NaN, a missing value, has a place like any number.
fn is_only_ordered(checked: &Checked, number: usize) -> bool {
    let (graph, source) = (checked.graph(), Source::Input(number));
    let mut readers = graph.nodes.iter().filter(|node| node.inputs.contains(&source)).peekable();
    let leaves = graph.outputs.iter().any(|output| output.source == source);
    !leaves && readers.peek().is_some() && readers.all(|node| node.operator.name == "order")
}

fn check_values(checked: &Checked, number: usize, tensor: &Tensor) -> Result<(), Fault> {
    let Some(input) = checked.graph().inputs.get(number) else { return Ok(()) };
    if let Some(values) = tensor.floats() {
        let may_lack = values.iter().any(|value| value.is_nan()) && is_only_ordered(checked, number);
        let is_wrong = |value: &f32| !(value.is_finite() || may_lack && value.is_nan());
        return match values.iter().position(is_wrong) {
            Some(index) => Err(Fault::NotFinite { name: input.name.clone(), index }),
            None => Ok(()),
        };
    }
    let (low, high) = (input.interval.low, input.interval.high);
    for index in 0..tensor.len() {
        if let Some(found) = tensor.integer(index).filter(|value| !(low..=high).contains(value)) {
            return Err(Fault::Range { name: input.name.clone(), index, found, low, high });
        }
    }
    Ok(())
}
