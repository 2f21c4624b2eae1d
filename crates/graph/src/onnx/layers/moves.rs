//! Operators that move numbers without changing them.

use super::super::error::CompileError;
use super::attention::order;
use super::emit::{Emitter, Held, name, outward, refuse, turned};
use super::net::output;
use crate::graph::Source;
use crate::program::Node;
use crate::shape::{Dimension, Shape};
use crate::tensor::{Data, Element, Tensor};
use crate::{Attributes, ops};

fn result(node: &Node) -> Result<u32, CompileError> {
    output(node).ok_or_else(|| refuse(node, "makes nothing that is read"))
}

pub fn same(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (_, held, _) = either(emitter, node)?;
    emitter.keep_either(node, result(node)?, held)
}

/// The slot of the first input, how it is held, and its axes as they are held.
fn either(emitter: &mut Emitter, node: &Node) -> Result<(u32, Held, Vec<usize>), CompileError> {
    let slot = node.inputs.first().and_then(|&source| emitter.net.live(source));
    let slot = slot.ok_or_else(|| refuse(node, "has a constant as input 0, or none"))?;
    let (held, is_inner) = emitter.either(node, slot)?;
    let axes = if is_inner { outward(&emitter.net.shape(slot)) } else { (0..held.shape.rank()).collect() };
    Ok((slot, held, axes))
}

/// Whatever the target says, the calibration runs have shown the shape that it comes to.
pub fn reshape(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held, _) = either(emitter, node)?;
    let slot = result(node)?;
    let (name, shape) = (name(node), emitter.net.shape(slot));
    // An image of one pixel has the same order either way.
    let held = emitter.plain(&name, held);
    let whole = held.shape.has_rows() == shape.has_rows() && held.shape.count(1) == shape.count(1);
    if !whole || in_front(&emitter.net.shape(input)) != in_front(&shape) {
        return Err(refuse(node, format!("brings {} to {shape}: a row must stay whole and outermost", held.shape)));
    }
    let held = emitter.reshape(&name, &held, &turned(&shape, &outward(&shape)));
    emitter.keep_either(node, slot, held)
}

/// How many numbers stand in front of one row's: a row that stays whole keeps them.
fn in_front(shape: &Shape) -> usize {
    let sizes = shape.0.iter().map_while(|size| if let Dimension::Fixed(size) = size { Some(*size) } else { None });
    if shape.has_rows() { sizes.product() } else { 1 }
}

pub fn transpose(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (slot, held, own) = either(emitter, node)?;
    let name = name(node);
    let axes = order(node, emitter.net.rank(slot)).ok_or_else(|| refuse(node, "has no order of all axes"))?;
    // From the order of the file to what is held, in one turn.
    let held_at = |axis: usize| match held.last {
        true => held.axis(axis),
        false => own.iter().position(|&own| own == axis).unwrap_or(axis),
    };
    // The rows stay outermost in what is held, wherever the file brings them.
    let axes = outward(&turned(&emitter.net.shape(slot), &axes))
        .into_iter()
        .map(|axis| held_at(axes[axis]))
        .collect::<Vec<_>>();
    let turned = emitter.turn(&name, &held, &axes);
    emitter.keep_either(node, result(node)?, Held { last: false, ..turned })
}

pub fn concat(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let slot = result(node)?;
    let name = name(node);
    let target = emitter.target(node, slot)?;
    let mut parts = Vec::new();
    for index in 0..node.inputs.len() {
        let (_, held) = emitter.operand(node, index)?;
        parts.push(emitter.requantise(&format!("{name}/{index}"), &held, target));
    }
    let last = parts.iter().all(|part| part.last);
    let axis = axis(node, node.integer("axis", 0).unwrap_or(0), emitter.net.rank(slot))?;
    let axis = parts.first().filter(|_| last).map_or(axis, |part| part.axis(axis));
    let mut sources = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        let part = if last { part } else { emitter.plain(&format!("{name}/{index}"), part) };
        sources.push(part.source);
    }
    let attributes = Attributes::new().with("axis", axis as i64);
    let source = emitter.add(&name, &ops::concat::OPERATOR, attributes, &sources);
    let shape = if last { emitter.shape_last(slot) } else { emitter.net.shape(slot) };
    emitter.keep(node, slot, Held { source, encoding: target, shape, last })
}

fn axis(node: &Node, axis: i64, rank: usize) -> Result<usize, CompileError> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    let found = usize::try_from(from_front).ok().filter(|axis| *axis < rank);
    found.ok_or_else(|| refuse(node, format!("has axis {axis} of rank {rank}")))
}

/// Rows of a constant table, or one place of an axis.
pub fn gather(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let table = node.inputs.first().and_then(|&source| emitter.net.floats(source));
    match table {
        Some((shape, values)) => embed(emitter, node, &shape, &values),
        None => pick(emitter, node),
    }
}

fn embed(emitter: &mut Emitter, node: &Node, shape: &[usize], values: &[f32]) -> Result<(), CompileError> {
    let (_, indices) = emitter.operand(node, 1)?;
    let [rows, _] = *shape else {
        return Err(refuse(node, format!("reads a table of shape {shape:?}, expected rank 2")));
    };
    if node.integer("axis", 0).unwrap_or(0) != 0 {
        return Err(refuse(node, "reads a table along another axis than its rows"));
    }
    let last = rows as i64 - 1;
    if indices.encoding.low < 0 || indices.encoding.high > last || indices.encoding.unit != 1.0 {
        return Err(refuse(node, format!("has indices that may lie outside of 0 to {last}")));
    }
    // The table's own greatest number sets its scale: every row may be asked for.
    let most = values.iter().fold(0.0_f64, |most, &value| most.max(f64::from(value).abs()));
    let unit = if most > 0.0 { most / 32_767.0 } else { 1.0 };
    let integers = values.iter().map(|&value| (f64::from(value) / unit).round_ties_even() as i16).collect();
    let table = Tensor::of(shape, Data::I16(integers));
    let slot = result(node)?;
    let name = name(node);
    let table = emitter.graph.constant(format!("{name}/table"), table);
    let source = emitter.add(&name, &ops::gather_rows::OPERATOR, Attributes::new(), &[indices.source, table]);
    let encoding =
        super::super::integer::encoding::Encoding { element: Element::I16, unit, low: -32_767, high: 32_767 };
    let shape = emitter.net.shape(slot);
    emitter.keep(node, slot, Held { source, encoding, shape, last: false })
}

fn pick(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held, own) = either(emitter, node)?;
    let name = name(node);
    let held = emitter.plain(&name, held);
    let axis = axis(node, node.integer("axis", 0).unwrap_or(0), emitter.net.rank(input))?;
    let axis = own.iter().position(|&own| own == axis).unwrap_or(axis);
    let index = node.inputs.get(1).and_then(|&source| emitter.net.integers(source));
    let (Some([index]), Some(Dimension::Fixed(size))) = (index.as_deref(), held.shape.0.get(axis).copied()) else {
        return Err(refuse(node, "picks several places, or along rows: expected one constant index"));
    };
    let start = if *index < 0 { index + size as i64 } else { *index };
    let cut = cut(emitter, &name, &held, axis, [start, 1, 1]);
    let slot = result(node)?;
    let shape = emitter.net.shape(slot);
    let held = emitter.reshape(&format!("{name}/alone"), &cut, &turned(&shape, &outward(&shape)));
    emitter.keep_either(node, slot, held)
}

/// `[start, step, count]` of an axis.
pub fn cut(emitter: &mut Emitter, name: &str, held: &Held, axis: usize, span: [i64; 3]) -> Held {
    let [start, step, count] = span;
    let mut shape = held.shape.clone();
    if let Some(size) = shape.0.get_mut(axis) {
        if *size == Dimension::Fixed(count as usize) {
            return held.clone();
        }
        *size = Dimension::Fixed(count as usize);
    }
    let attributes = Attributes::new().with("axis", axis as i64).with("start", start);
    let attributes = attributes.with("step", step).with("count", count);
    let source: Source = emitter.add(name, &ops::slice::OPERATOR, attributes, &[held.source]);
    Held { source, shape, ..held.clone() }
}

pub fn slice(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held, own) = either(emitter, node)?;
    let name = name(node);
    let mut held = emitter.plain(&name, held);
    let list = |index: usize, attribute: &'static str| match node.inputs.get(index) {
        Some(&source) => emitter.net.integers(source),
        None => node.integers(attribute).ok().flatten().map(<[i64]>::to_vec),
    };
    let (starts, ends) = (list(1, "starts"), list(2, "ends"));
    let (Some(starts), Some(ends)) = (starts, ends) else { return Err(refuse(node, "has computed bounds")) };
    let axes = list(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(4, "steps").unwrap_or_else(|| vec![1; starts.len()]);
    for (place, ((start, end), (&along, step))) in starts.iter().zip(&ends).zip(axes.iter().zip(&steps)).enumerate() {
        let axis = axis(node, along, emitter.net.rank(input))?;
        let axis = own.iter().position(|&own| own == axis).unwrap_or(axis);
        let Some(Dimension::Fixed(size)) = held.shape.0.get(axis).copied() else {
            // All rows are no cut.
            if *start == 0 && *end >= i64::from(i32::MAX) && *step == 1 {
                continue;
            }
            return Err(refuse(node, "cuts the rows"));
        };
        let size = size as i64;
        let at = |value: i64| if value < 0 { value + size } else { value }.clamp(0, size);
        let (start, end) = (at(*start), at(*end));
        if *step < 1 || start >= end {
            return Err(refuse(node, "cuts backward, or nothing"));
        }
        let span = [start, *step, (end - start - 1) / step + 1];
        held = cut(emitter, &format!("{name}/{place}"), &held, axis, span);
    }
    emitter.keep_either(node, result(node)?, held)
}

pub fn split(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let name = name(node);
    let held = emitter.plain(&name, held);
    let axis = axis(node, node.integer("axis", 0).unwrap_or(0), emitter.net.rank(input))?;
    let mut start = 0;
    let parts: Vec<Option<u32>> = node.outputs.clone();
    for (index, slot) in parts.into_iter().enumerate() {
        // A part that nobody reads has a place all the same; its shape is that of the others where it was not told.
        let told = slot.map(|slot| emitter.net.shape(slot)).unwrap_or(Shape(Vec::new()));
        let Some(Dimension::Fixed(count)) = told.0.get(axis).copied() else {
            return Err(refuse(node, "splits the rows, or has parts that nothing reads"));
        };
        let span = [start, 1, count as i64];
        start += count as i64;
        let held = cut(emitter, &format!("{name}/{index}"), &held, axis, span);
        if let Some(slot) = slot {
            emitter.keep(node, slot, held)?;
        }
    }
    Ok(())
}
