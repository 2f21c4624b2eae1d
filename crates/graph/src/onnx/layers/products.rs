//! Clamps, sums with constants, products and softmax as nodes of their own.

use super::super::error::CompileError;
use super::super::integer::{encoding::Encoding, scale::Factor};
use super::emit::{Emitter, Held, name, refuse};
use super::encoding::clamped;
use super::layer::bounds;
use super::linear::{add, together};
use super::net::output;
use crate::float::exp_wide;
use crate::program::Node;
use crate::shape::Shape;
use crate::tensor::Element;
use crate::{Attributes, ops};

fn result(node: &Node) -> Result<u32, CompileError> {
    output(node).ok_or_else(|| refuse(node, "makes nothing that is read"))
}

/// A clamp that no layer took in.
pub fn clip(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (_, x) = emitter.operand(node, 0)?;
    let bounds = bounds(emitter.net, node).ok_or_else(|| refuse(node, "has computed bounds"))?;
    let slot = result(node)?;
    let target = clamped(emitter.target(node, slot)?, Some(bounds));
    let held = emitter.requantise(&name(node), &x, target);
    emitter.keep(node, slot, held)
}

/// A sum or difference of a value and a constant.
pub fn shift(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let slot = result(node)?;
    let (one, other) = operands(emitter, node)?;
    let target = emitter.target(node, slot)?;
    let held = add(emitter, node, &one, &other, target, node.operator.name == "Sub")?;
    let shape = if held.last { emitter.shape_last(slot) } else { emitter.net.shape(slot) };
    emitter.keep(node, slot, Held { shape, ..held })
}

pub fn multiply(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (slot, name) = (result(node)?, name(node));
    let (one, other) = operands(emitter, node)?;
    let limit = i64::from(i32::MAX);
    let unit = one.encoding.unit * other.encoding.unit;
    let encoding = Encoding { element: Element::I32, unit, low: -limit, high: limit };
    let sources = [one.source, other.source];
    let source = emitter.add(&format!("{name}/products"), &ops::multiply::OPERATOR, Attributes::new(), &sources);
    let shape = if one.last { emitter.shape_last(slot) } else { emitter.net.shape(slot) };
    let target = emitter.target(node, slot)?;
    let held = emitter.requantise(&name, &Held { source, encoding, shape, last: one.last }, target);
    emitter.keep(node, slot, held)
}

/// Both operands, constants in 16 bits, their axes in one order.
fn operands(emitter: &mut Emitter, node: &Node) -> Result<(Held, Held), CompileError> {
    let [one, other] = node.inputs[..] else { return Err(refuse(node, "has not two operands")) };
    match (emitter.net.live(one), emitter.net.live(other)) {
        (Some(one), Some(other)) => {
            let (one, other) = (emitter.need(node, one)?, emitter.need(node, other)?);
            together(emitter, node, one, other)
        }
        (Some(one), None) => {
            let one = emitter.need(node, one)?;
            let other = constant(emitter, node, 1, &one)?;
            Ok((one, other))
        }
        (None, Some(other)) => {
            let other = emitter.need(node, other)?;
            let one = constant(emitter, node, 0, &other)?;
            Ok((one, other))
        }
        (None, None) => Err(refuse(node, "has no operand that depends on the inputs")),
    }
}

/// A constant operand beside another, whose order of axes it takes.
fn constant(emitter: &mut Emitter, node: &Node, index: usize, beside: &Held) -> Result<Held, CompileError> {
    let found = node.inputs.get(index).and_then(|&source| emitter.net.floats(source));
    let (mut sizes, mut values) =
        found.ok_or_else(|| refuse(node, format!("has no floats as constant input {index}")))?;
    let rank = beside.shape.rank();
    if beside.last && rank > 2 {
        sizes.splice(0..0, std::iter::repeat_n(1, rank.saturating_sub(sizes.len())));
        // Channels first to channels last.
        let inner: usize = sizes.iter().skip(2).product();
        let channels = sizes.get(1).copied().unwrap_or(1);
        let outer = sizes.first().copied().unwrap_or(1);
        let at = |place: usize| {
            place / (inner * channels) * inner * channels + place % channels * inner + place / channels % inner
        };
        values = (0..outer * inner * channels).map(|place| values[at(place)]).collect();
        let channels = sizes.remove(1);
        sizes.push(channels);
    }
    let held = sixteen(emitter, &format!("{}/{index}", name(node)), &sizes, &values);
    Ok(Held { last: beside.last, ..held })
}

/// Floats as a constant of 16 bits.
pub fn sixteen(emitter: &mut Emitter, name: &str, sizes: &[usize], values: &[f32]) -> Held {
    let most = values.iter().fold(0.0_f64, |most, &value| most.max(f64::from(value).abs()));
    let unit = if most > 0.0 { most / 32_767.0 } else { 1.0 };
    let integers = values.iter().map(|&value| (f64::from(value) / unit).round_ties_even() as i64).collect();
    let source = emitter.constant(name, Element::I16, sizes, integers);
    let encoding = Encoding { element: Element::I16, unit, low: -32_767, high: 32_767 };
    Held { source, encoding, shape: Shape::fixed(sizes), last: false }
}

/// Entries and steps per unit of the exponential's table: it reaches e^-16.
const POWERS: i64 = 4096;
const POWERS_PER_UNIT: f64 = 256.0;

pub fn softmax(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, x) = emitter.operand(node, 0)?;
    let (slot, name) = (result(node)?, name(node));
    let x = emitter.plain(&name, x);
    let rank = emitter.net.rank(input) as i64;
    let axis = node.integer("axis", if node.version < 13 { 1 } else { -1 }).unwrap_or(-1);
    if axis != -1 && axis + 1 != rank {
        return Err(refuse(node, "works along an axis that is not the innermost"));
    }
    let first = f64::from(1_u32 << ops::softmax::FRACTION);
    let entries = (0..POWERS).map(|i| (first * exp_wide(-(i as f64) / POWERS_PER_UNIT)).round_ties_even() as i64);
    let table = emitter.constant(&format!("{name}/exponential"), Element::I16, &[POWERS as usize], entries.collect());
    let factor = Factor::near(x.encoding.unit * POWERS_PER_UNIT);
    let attributes = Attributes::new().with("multiplier", factor.multiplier).with("shift", factor.shift);
    let source = emitter.add(&name, &ops::softmax::OPERATOR, attributes, &[x.source, table]);
    let encoding = Encoding { element: Element::I16, unit: 1.0 / first, low: 0, high: 1 << ops::softmax::FRACTION };
    emitter.keep(node, slot, Held { source, encoding, ..x })
}
