//! `Scan`: runs its body over slices of its inputs along their scan axes; carries states on, and stacks what each round makes along
//! the scan outputs' axes. Either direction may be backward. Before version 9 every input has a batch in front, each of
//! which runs alone.

use crate::program::stack::{pile, unpile};
use super::prelude::*;
use crate::program::machine::Source;
use crate::program::machine::Body;

pub static OPERATOR: Operator = Operator {
    name: "Scan",
    domain: "",
    versions: &[8, 9, 11, 16, 19, 21, 23, 24, 25],
    inputs: (1, MANY),
    outputs: (1, MANY),
    attributes: &[
        "body",
        "directions",
        "num_scan_inputs",
        "scan_input_axes",
        "scan_input_directions",
        "scan_output_axes",
        "scan_output_directions",
    ],
    run,
};

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let body = node.body("body")?;
    let scanned = usize::try_from(node.integer("num_scan_inputs", 0)?).unwrap_or(0);
    let given = node.inputs.len() - usize::from(node.version < 9);
    if scanned == 0 || scanned > given {
        return Err(Problem::Attribute { name: "num_scan_inputs", expected: "1 to the number of inputs" });
    }
    if body.inputs.len() != given || body.outputs.len() < given - scanned {
        return Err(Problem::Attribute { name: "body", expected: "a graph that takes all states and slices and gives all states" });
    }
    match node.version < 9 && node.inputs.first().is_some_and(|source| *source != Source::Nothing) {
        true => Err(Problem::Unsupported { what: "a batch of sequences of different lengths" }),
        false => Ok(()),
    }
}

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let body = node.body("body")?;
    check(node, context)?;
    let scanned = usize::try_from(node.integer("num_scan_inputs", 0)?).unwrap_or(0);
    let first = usize::from(node.version < 9);
    let values: Result<Vec<Value>, Problem> = (first..inputs.len()).map(|input| inputs.value(input).cloned()).collect();
    let values = values?;
    let states = values.len().checked_sub(scanned).filter(|_| scanned > 0);
    let states = states.ok_or(Problem::Attribute { name: "num_scan_inputs", expected: "1 to the number of inputs" })?;
    if node.version >= 9 {
        return scan(node, body, values, states, context);
    }
    let batches: Result<Vec<Vec<Value>>, Problem> = values.iter().map(|value| unpile(value, 0, context)).collect();
    let batches = batches?;
    let count = batches.first().map_or(0, Vec::len);
    let mut made: Vec<Vec<Value>> = Vec::new();
    for batch in 0..count {
        let own: Option<Vec<Value>> = batches.iter().map(|values| values.get(batch).cloned()).collect();
        let own = own.ok_or(Problem::value("the batch of an input", count.to_string(), "another"))?;
        let outputs = scan(node, body, own, states, context)?;
        made.resize(outputs.len(), Vec::new());
        made.iter_mut().zip(outputs).for_each(|(all, value)| all.push(value));
    }
    made.iter().map(|values| pile(values, 0, context).map(Value::from)).collect()
}

/// One of a list of integers, 0 where there is none.
fn listed(node: &Node, name: &'static str, at: usize) -> Result<i64, Problem> {
    Ok(node.integers(name)?.and_then(|list| list.get(at)).copied().unwrap_or(0))
}

fn scan(node: &Node, body: &Body, mut values: Vec<Value>, states: usize, context: &mut Context) -> Outcome {
    let old = node.version < 9;
    let backward = if old { "directions" } else { "scan_input_directions" };
    let mut slices = Vec::new();
    for (at, value) in values.iter().skip(states).enumerate() {
        let axis = if old { 0 } else { listed(node, "scan_input_axes", at)? };
        let mut parts = unpile(value, axis, context)?;
        if listed(node, backward, at)? == 1 {
            parts.reverse();
        }
        slices.push(parts);
    }
    let rounds = slices.first().map_or(0, Vec::len);
    if slices.iter().any(|parts| parts.len() != rounds) {
        return Err(Problem::value("the lengths of the scan inputs", "all the same", "others"));
    }
    values.truncate(states);
    let stacked = body.outputs.len().checked_sub(states);
    let stacked = stacked.ok_or(Problem::Attribute { name: "body", expected: "a graph that gives all states" })?;
    let mut stacks: Vec<Vec<Value>> = vec![Vec::new(); stacked];
    for round in 0..rounds {
        // From the second round on the body gave these, and takes them back.
        if round > 0 {
            context.release(values.iter().map(Value::weight).sum());
        }
        values.extend(slices.iter().filter_map(|parts| parts.get(round).cloned()));
        let mut made = context.run_body(body, std::mem::take(&mut values))?;
        let new = made.split_off(states);
        stacks.iter_mut().zip(new).for_each(|(stack, value)| stack.push(value));
        values = made;
    }
    for (at, mut stack) in stacks.into_iter().enumerate() {
        if !old && listed(node, "scan_output_directions", at)? == 1 {
            stack.reverse();
        }
        let axis = if old { 0 } else { listed(node, "scan_output_axes", at)? };
        values.push(pile(&stack, axis, context)?.into());
    }
    Ok(values)
}
