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
    for (input, tensor) in expected.iter().zip(inputs) {
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
        check_values(input, tensor)?;
    }
    Ok(rows.unwrap_or(1))
}

fn check_values(input: &crate::graph::Input, tensor: &Tensor) -> Result<(), Fault> {
    if let Some(values) = tensor.floats() {
        return match values.iter().position(|value| !value.is_finite()) {
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
