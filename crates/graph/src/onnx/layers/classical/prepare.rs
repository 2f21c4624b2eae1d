//! What prepares features, where it is computed and not followed back.

use super::super::emit::{Emitter, Held, name, range, refuse};
use super::super::encoding::most;
use super::columns::{result, widened};
use super::labels;
use super::line::{Lines, affine, weigh};
use crate::graph::Source;
use crate::onnx::error::CompileError;
use crate::onnx::integer::encoding::Encoding;
use crate::ops::quantise::power_of_two;
use crate::program::Node;
use crate::shape::Dimension;
use crate::tensor::Element;
use crate::{Attributes, ops};

/// Most features that are scaled one by one.
const SCALED_MAX: usize = 1024;

/// Columns at constant places, or labels at computed ones.
pub fn extract(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    if let Some(list) = node.inputs.first().and_then(|&source| emitter.net.constant(source)) {
        return labels::pick(emitter, node, &list);
    }
    let (_, held) = emitter.operand(node, 0)?;
    let name = name(node);
    let held = emitter.plain(&name, held);
    let places = node.inputs.get(1).and_then(|&source| emitter.net.integers(source));
    let places = places.ok_or_else(|| refuse(node, "picks places that are computed"))?;
    let (rank, width) = (held.shape.rank(), held.shape.width().unwrap_or(0) as i64);
    if rank < 2 || places.is_empty() || places.len() > 64 {
        return Err(refuse(node, format!("picks {} places of rank {rank}, expected 1 to 64 of rank 2", places.len())));
    }
    let axis = rank as i64 - 1;
    let mut parts = Vec::new();
    for (number, &place) in places.iter().enumerate() {
        let start = if place < 0 { place + width } else { place };
        let attributes = Attributes::new().with("axis", axis).with("start", start).with("step", 1).with("count", 1);
        parts.push(emitter.add(&format!("{name}/{number}"), &ops::slice::OPERATOR, attributes, &[held.source]));
    }
    let attributes = Attributes::new().with("axis", axis);
    let source = emitter.add(&name, &ops::concat::OPERATOR, attributes, &parts);
    let slot = result(node)?;
    let shape = emitter.net.shape(slot);
    emitter.keep(node, slot, Held { source, shape, ..held })
}

/// A NaN enters where trees alone read it, and they know what replaces it (`columns`); elsewhere none enters.
pub fn impute(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    if !node.float("replaced_value_float", 0.0).is_ok_and(f32::is_nan) {
        return Err(refuse(node, "replaces a number: expected NaN, which no input of an integer model holds"));
    }
    super::super::moves::same(emitter, node)
}

pub fn scale(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let slot = result(node)?;
    let refused = || refuse(node, format!("scales features of another number than 1 to {SCALED_MAX}"));
    let (offsets, scales) = affine(emitter, node).filter(|found| found.0.len() <= SCALED_MAX).ok_or_else(refused)?;
    let width = offsets.len();
    let line = |row: usize| (0..width).map(|column| if column == row { scales[row] } else { 0.0 }).collect();
    let bias = offsets.iter().zip(&scales).map(|(offset, scale)| -offset * scale).collect();
    let lines = Lines { weights: (0..width).map(line).collect(), bias };
    let input = node.inputs.first().and_then(|&source| emitter.net.live(source)).ok_or_else(refused)?;
    let x = emitter.need(node, input)?;
    let seen = emitter.net.seen(input).map_or(0.0, most);
    let held = weigh(emitter, node, "scaled", (&x, seen), &lines)?;
    emitter.keep(node, slot, held)
}

/// Rows of length 1, or shares of a row's sum.
pub fn normalise(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (_, held) = emitter.operand(node, 0)?;
    let (slot, name) = (result(node)?, name(node));
    match node.text("norm", "MAX").unwrap_or("") {
        "L1" if held.encoding.low >= 0 => {
            let source = emitter.add(&name, &ops::share::OPERATOR, Attributes::new(), &[held.source]);
            let (unit, high) = (power_of_two(-i64::from(ops::softmax::FRACTION)), 1 << ops::softmax::FRACTION);
            let encoding = Encoding { element: Element::I16, unit, low: 0, high };
            emitter.keep(node, slot, Held { source, encoding, ..held })
        }
        "L2" => {
            // The squares of a row may come to 2^62.
            let width = held.shape.width().unwrap_or(1).max(1);
            let mut limit = 1_i64 << 30;
            while (limit as u128) * (limit as u128) * width as u128 >= 1 << 62 {
                limit >>= 1;
            }
            let seen = held.encoding.low.unsigned_abs().max(held.encoding.high.unsigned_abs());
            let mut unit = held.encoding.unit;
            while seen as f64 * held.encoding.unit > limit as f64 * unit {
                unit *= 2.0;
            }
            let target = Encoding { element: Element::I32, unit, low: -limit, high: limit };
            let x = emitter.requantise(&format!("{name}/narrow"), &held, target);
            let attributes = Attributes::new().with("epsilon", 1);
            let source = emitter.add(&name, &ops::rms_norm::OPERATOR, attributes, &[x.source]);
            let (unit, high) = (power_of_two(-16), (1 << 16) + 1);
            let encoding = Encoding { element: Element::I32, unit, low: -high, high };
            emitter.keep(node, slot, Held { source, encoding, ..held })
        }
        norm => Err(refuse(node, format!("normalises by {norm}: expected L2, or L1 of numbers from 0"))),
    }
}

/// How much more than another a number is, cut at 0 and 1.
fn less(emitter: &mut Emitter, name: &str, x: Source, other: Source) -> Source {
    let encoding = Encoding { element: Element::I8, unit: 1.0, low: 0, high: 1 };
    let attributes = range(encoding).with("left", 1).with("right", -1).with("shift", 0);
    emitter.add(name, &ops::add_scaled::OPERATOR, attributes, &[x, other])
}

/// 1 where a number is above the threshold: the distance to it, cut at both ends.
pub fn binarize(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let (slot, name) = (result(node)?, name(node));
    let threshold = node.float("threshold", 0.0).unwrap_or(0.0);
    let (source, least, is_placed) = match emitter.places(input) {
        Some(source) => (source, i64::from(ops::order::place(threshold)), true),
        None => {
            let held = widened(emitter, &format!("{name}/wide"), &held);
            (held.source, (f64::from(threshold) / held.encoding.unit).floor() as i64, false)
        }
    };
    let encoding = Encoding { element: Element::I8, unit: 1.0, low: 0, high: 1 };
    let mut above = |name: &str, source, least: i64| {
        let least = least.clamp(i32::MIN.into(), i32::MAX.into());
        let least = emitter.constant(&format!("{name}/threshold"), Element::I32, &[1], vec![least]);
        less(emitter, name, source, least)
    };
    let numbers = above(&name, source, least);
    let source = if is_placed {
        // A missing value is above everything, and yet no greater than the threshold.
        let missing = above(&format!("{name}/missing"), source, ops::order::MOST - 1);
        less(emitter, &format!("{name}/numbers"), numbers, missing)
    } else {
        numbers
    };
    let shape = emitter.net.shape(slot);
    debug_assert!(shape.0.iter().skip(1).all(|size| *size != Dimension::Rows), "rows stay outermost");
    emitter.keep(node, slot, Held { source, encoding, shape, last: false })
}
