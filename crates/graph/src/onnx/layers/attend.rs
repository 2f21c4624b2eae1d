//! Attention and curves as integer nodes.

use super::super::error::CompileError;
use super::super::integer::{
    encoding::{Encoding, rounded},
    scale::Factor,
};
use super::attention::{Attention, Mask, Operand};
use super::curve::Curve;
use super::emit::{Emitter, Held, name, refuse};
use super::encoding::index;
use crate::float::exp_wide;
use crate::graph::Source;
use crate::program::Node;
use crate::tensor::Element;
use crate::{Attributes, ops};

/// Steps per unit of the table of the exponential.
const POWERS_PER_UNIT: f64 = 256.0;
/// Bits after the point of its entries.
const POWER: f64 = 16_384.0;

pub fn attention(emitter: &mut Emitter, node: &Node, found: &Attention) -> Result<(), CompileError> {
    let name = name(node);
    let query = operand(emitter, node, &found.query, "query")?;
    let key = operand(emitter, node, &found.key, "key")?;
    let value = operand(emitter, node, &found.value, "value")?;
    let table = powers(emitter, &name);
    let factor = Factor::near(query.encoding.unit * key.encoding.unit * found.factor * POWERS_PER_UNIT);
    let mut inputs = vec![query.source, key.source, value.source, table];
    if let Some(mask) = &found.mask {
        inputs.push(visible(emitter, node, mask)?);
    }
    let attributes = Attributes::new().with("multiplier", factor.multiplier).with("shift", factor.shift);
    let source = emitter.add(&format!("{name}/mean"), &ops::attend::OPERATOR, attributes, &inputs);
    let fine = f64::from(1_u32 << (44 - ops::attention::SHIFT));
    let limit = i64::from(i32::MAX);
    let encoding = Encoding { element: Element::I32, unit: value.encoding.unit / fine, low: -limit, high: limit };
    let shape = emitter.net.shape(found.result);
    let target = emitter.target(node, found.result)?;
    let held = emitter.requantise(&name, &Held { source, encoding, shape, last: false }, target);
    emitter.keep(node, found.result, held)
}

fn operand(emitter: &mut Emitter, node: &Node, operand: &Operand, what: &str) -> Result<Held, CompileError> {
    let name = format!("{}/{what}", name(node));
    let held = emitter.eight(node, operand.slot, true)?;
    let held = emitter.plain(&name, held);
    Ok(match &operand.axes {
        Some(axes) => emitter.turn(&name, &held, axes),
        None => held,
    })
}

/// The exponential's table, once for the whole graph.
fn powers(emitter: &mut Emitter, name: &str) -> Source {
    let known = emitter.graph.constants.iter().position(|constant| constant.name.ends_with("/powers"));
    if let Some(index) = known {
        return Source::Constant(index);
    }
    let mut entries = Vec::new();
    while entries.last() != Some(&0) {
        let exponential = POWER * exp_wide(-(entries.len() as f64) / POWERS_PER_UNIT);
        entries.push((exponential + 0.5).floor() as i64);
    }
    emitter.constant(&format!("{name}/powers"), Element::I16, &[entries.len()], entries)
}

/// Which keys are seen, as integers.
fn visible(emitter: &mut Emitter, node: &Node, mask: &Mask) -> Result<Source, CompileError> {
    let name = format!("{}/mask", name(node));
    match mask {
        Mask::Constant(shape, seen) => {
            let values = seen.iter().map(|&seen| seen.into()).collect();
            Ok(emitter.constant(&name, Element::U8, shape, values))
        }
        Mask::Input { slot, shape, inverted } => {
            let held = emitter.need(node, *slot)?;
            if held.encoding.high > 1 || held.encoding.element == Element::F32 {
                return Err(refuse(node, "has a mask that is made of something else than zeros and ones"));
            }
            let mut held = emitter.reshape(&name, &held, shape);
            if *inverted {
                let table = emitter.constant(&format!("{name}/table"), Element::U8, &[2], vec![1, 0]);
                let attributes = Attributes::new().with("first", 0);
                held.source =
                    emitter.add(&format!("{name}/inverted"), &ops::lookup::OPERATOR, attributes, &[held.source, table]);
            }
            Ok(held.source)
        }
    }
}

/// A table of the curve over every index, or another unit where it only multiplies.
pub fn curve(emitter: &mut Emitter, node: &Node, curve: &Curve) -> Result<(), CompileError> {
    let name = name(node);
    let x = emitter.need(node, curve.root)?;
    if let Some(factor) = curve.factor(emitter.net) {
        let encoding = Encoding { unit: x.encoding.unit * factor, ..x.encoding };
        return emitter.keep(node, curve.result, Held { encoding, ..x });
    }
    let seen = emitter.net.seen(curve.root).ok_or_else(|| refuse(node, "reads no tensor"))?;
    let limits = index(seen);
    let fits = x.encoding.low >= limits.low && x.encoding.high <= limits.high;
    let x = if fits { x } else { emitter.requantise(&format!("{name}/index"), &x, limits) };
    let (first, last) = (x.encoding.low, x.encoding.high);
    let points: Vec<f32> = (first..=last).map(|index| (index as f64 * x.encoding.unit) as f32).collect();
    let results = curve.at(emitter.net, &points).filter(|results| results.len() == points.len());
    let results = results.ok_or_else(|| refuse(node, "is no curve that a table can hold"))?;
    let target = emitter.target(node, curve.result)?;
    // Where the curve has no value, outside of what calibration saw, the table saturates.
    let entries =
        results.iter().map(|&value| if value.is_nan() { target.low } else { rounded(value, target) }).collect();
    let table = emitter.constant(&format!("{name}/table"), target.element, &[points.len()], entries);
    let attributes = Attributes::new().with("first", first);
    let source = emitter.add(&name, &ops::lookup::OPERATOR, attributes, &[x.source, table]);
    emitter.keep(node, curve.result, Held { source, encoding: target, ..x })
}
