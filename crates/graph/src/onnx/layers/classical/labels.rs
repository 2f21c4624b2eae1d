//! The classes that classifiers find: they leave as integers of 64 bits, and nothing computes with them. A label that is a text
//! leaves as its number in the order in which the file lists them.

use std::sync::Arc;

use super::super::emit::{Emitter, Held, name, refuse};
use super::super::net::{MOVES, Net, output};
use super::columns::result;
use crate::onnx::error::CompileError;
use crate::program::{Array, Node, Program, Source as From};
use crate::shape::{Dimension, Shape};
use crate::tensor::Element;
use crate::{Attributes, ops};

/// Most labels.
const LABELS_MAX: usize = ops::lookup::ENTRIES_MAX;

/// The label of the greatest number of each row.
pub fn greatest(emitter: &mut Emitter, node: &Node, slot: u32, x: &Held, list: &Array) -> Result<(), CompileError> {
    let name = name(node);
    let index = emitter.add(&format!("{name}/class"), &ops::greatest::OPERATOR, Attributes::new(), &[x.source]);
    let mut shape = x.shape.clone();
    shape.0.pop();
    named(emitter, node, slot, (index, shape), list)
}

fn named(
    emitter: &mut Emitter,
    node: &Node,
    slot: u32,
    (index, shape): (crate::graph::Source, Shape),
    list: &Array,
) -> Result<(), CompileError> {
    let count = list.len();
    if count == 0 || count > LABELS_MAX {
        return Err(refuse(node, format!("has {count} labels, expected 1 to {LABELS_MAX}")));
    }
    let values: Option<Vec<i64>> = match list.integers() {
        Some(values) => values.into_iter().map(|value| i64::try_from(value).ok()).collect(),
        None => Some((0..count as i64).collect()),
    };
    let values = values.ok_or_else(|| refuse(node, "has labels of more than 64 bits"))?;
    let table = emitter.constant(&format!("{}/labels", name(node)), Element::I64, &[count], values);
    let attributes = Attributes::new().with("first", 0);
    let source = emitter.add(&format!("{}/label", name(node)), &ops::lookup::OPERATOR, attributes, &[index, table]);
    emitter.keep_labels(slot, source, shape);
    shaped(emitter, node, slot)
}

/// `ArgMax` over the innermost axis.
pub fn arg_max(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let held = emitter.plain(&name(node), held);
    let (axis, rank) = (node.integer("axis", 0).unwrap_or(0), emitter.net.rank(input) as i64);
    if axis != -1 && axis + 1 != rank || node.flag("select_last_index", false).unwrap_or(true) {
        return Err(refuse(node, "looks along an axis that is not the innermost, or for the last of equals"));
    }
    let width = emitter.net.shape(input).width().unwrap_or(0);
    let slot = result(node)?;
    let numbers = Array::i64s(&[width], (0..width as i64).collect());
    let numbers = numbers.map_err(|_| refuse(node, "has too many classes"))?;
    greatest(emitter, node, slot, &held, &numbers)
}

/// Brings what was kept for a slot to the slot's own shape.
fn shaped(emitter: &mut Emitter, node: &Node, slot: u32) -> Result<(), CompileError> {
    let Some((source, held)) = emitter.labels(slot) else { return Err(refuse(node, "makes no labels")) };
    let shape = emitter.net.shape(slot);
    // With the rows inside, a later node brings them outward again.
    if shape == held || shape.has_rows() && shape.0.first() != Some(&Dimension::Rows) {
        return Ok(());
    }
    let size = |dimension: &Dimension| if let Dimension::Fixed(size) = dimension { *size as i64 } else { 0 };
    let attributes = Attributes::new().with("sizes", shape.0.iter().map(size).collect::<Vec<i64>>());
    let name = format!("{}/label's shape", name(node));
    let source = emitter.add(&name, &ops::reshape::OPERATOR, attributes, &[source]);
    emitter.keep_labels(slot, source, shape);
    Ok(())
}

/// Labels at the places that were found: `ArrayFeatureExtractor` of a constant list.
pub fn pick(emitter: &mut Emitter, node: &Node, list: &Array) -> Result<(), CompileError> {
    let places = node.inputs.get(1).and_then(|&source| emitter.net.live(source));
    let found = places.and_then(|slot| emitter.labels(slot));
    let found = found.ok_or_else(|| refuse(node, "picks from a list by something else than a class"))?;
    let slot = result(node)?;
    named(emitter, node, slot, found, list)
}

/// What passes labels on without changing them.
pub fn pass(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let labels = node.inputs.first().and_then(|&source| emitter.net.live(source)).and_then(|slot| emitter.labels(slot));
    let (source, shape) = labels.ok_or_else(|| refuse(node, "passes on what are no labels"))?;
    let slot = result(node)?;
    emitter.keep_labels(slot, source, shape);
    shaped(emitter, node, slot)
}

/// Whether a node passes on labels.
pub fn passes(net: &Net, node: &Node) -> bool {
    if !is_passing(node) {
        return false;
    }
    let mut slot = node.inputs.first().and_then(|&source| net.live(source));
    while let Some(maker) = slot.and_then(|slot| net.maker(slot)) {
        if is_passing(maker) {
            slot = maker.inputs.first().and_then(|&source| net.live(source));
            continue;
        }
        let first = maker.outputs.first().copied().flatten() == slot;
        return match maker.operator.name {
            "LinearClassifier" | "TreeEnsembleClassifier" | "ArgMax" => first,
            "ArrayFeatureExtractor" => maker.inputs.first().is_some_and(|&source| net.live(source).is_none()),
            _ => false,
        };
    }
    false
}

fn is_passing(node: &Node) -> bool {
    let domain = node.operator.domain;
    domain.is_empty()
        && (matches!(node.operator.name, "Cast" | "Flatten" | "Identity") || MOVES.contains(&node.operator.name))
}

/// The texts that the labels of an output stand for, where they are texts.
pub fn texts(program: &Program, source: From) -> Option<Vec<Arc<str>>> {
    let mut source = source;
    loop {
        let From::Slot(slot) = source else { return None };
        let node = program.body.nodes.iter().find(|node| node.outputs.contains(&Some(slot)))?;
        if is_passing(node) {
            source = *node.inputs.first()?;
            continue;
        }
        if let Some(list) = node.texts("classlabels_strings").ok()? {
            return (output(node) == Some(slot)).then(|| list.to_vec());
        }
        let From::Constant(index) = *node.inputs.first()? else { return None };
        let list = program.constants.get(index as usize)?;
        return (node.operator.name == "ArrayFeatureExtractor").then(|| list.as_texts().map(<[Arc<str>]>::to_vec))?;
    }
}
