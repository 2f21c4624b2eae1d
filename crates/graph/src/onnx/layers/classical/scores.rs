//! What becomes of sums: softmax, logistic curves, or a float of 24 bits that leaves.

use super::super::emit::{Emitter, Held, name, range, refuse};
use super::columns::result;
use crate::float::exp_wide;
use crate::onnx::error::CompileError;
use crate::onnx::integer::{encoding::Encoding, scale::Factor};
use crate::ops::{dequantise, quantise::power_of_two, softmax};
use crate::program::Node;
use crate::program::features::{self, Transform};
use crate::tensor::Element;
use crate::{Attributes, ops};

/// Sums, and what is made of each row of them.
pub struct Scores {
    pub sums: Held,
    pub transform: Transform,
    /// Beyond it, sums that leave may saturate.
    pub most: f64,
}

/// Entries of the exponential's table, and entries for each unit: it reaches e^-16.
const POWERS: i64 = 16_384;
const POWERS_PER_UNIT: f64 = 1024.0;
/// Beyond it, a chance is 0 or 1 to 2^-24.
const LOGISTIC_MAX: f64 = 17.0;

pub fn finish(emitter: &mut Emitter, node: &Node, slot: u32, scores: Scores) -> Result<(), CompileError> {
    let held = match scores.transform {
        Transform::None => settled(emitter, node, slot, scores)?,
        Transform::Softmax => share_of_powers(emitter, node, &scores.sums),
        Transform::Logistic => chances(emitter, node, &scores.sums)?,
        Transform::SoftmaxZero | Transform::Probit => {
            return Err(refuse(node, "has a transform without an integer form: expected NONE, SOFTMAX or LOGISTIC"));
        }
    };
    emitter.keep(node, slot, held)
}

/// Sums under the encoding that their users would like; what leaves has 24 bits.
fn settled(emitter: &mut Emitter, node: &Node, slot: u32, scores: Scores) -> Result<Held, CompileError> {
    let Scores { sums, most, .. } = scores;
    let target = if emitter.leaves(slot) { leaving(&sums.encoding, most) } else { emitter.target(node, slot)? };
    Ok(emitter.requantise(&format!("{}/scores in units", name(node)), &sums, target))
}

/// Integers that are floats exactly: 24 bits, in units of a power of two.
fn leaving(sums: &Encoding, most: f64) -> Encoding {
    let limit = dequantise::MAGNITUDE_MAX as i64 - 1;
    let most = most.min(sums.low.unsigned_abs().max(sums.high.unsigned_abs()) as f64 * sums.unit);
    let mut unit = sums.unit;
    while most > limit as f64 * unit {
        unit *= 2.0;
    }
    Encoding { element: Element::I32, unit, low: -limit, high: limit }
}

fn share_of_powers(emitter: &mut Emitter, node: &Node, sums: &Held) -> Held {
    let first = f64::from(1_u32 << softmax::FRACTION);
    let entries = (0..POWERS).map(|i| (first * exp_wide(-(i as f64) / POWERS_PER_UNIT)).round_ties_even() as i64);
    let name = name(node);
    let table = emitter.constant(&format!("{name}/exponential"), Element::I16, &[POWERS as usize], entries.collect());
    let factor = Factor::near(sums.encoding.unit * POWERS_PER_UNIT);
    let attributes = Attributes::new().with("multiplier", factor.multiplier).with("shift", factor.shift);
    let source = emitter.add(&format!("{name}/softmax"), &ops::softmax::OPERATOR, attributes, &[sums.source, table]);
    let encoding = Encoding { element: Element::I16, unit: 1.0 / first, low: 0, high: 1 << softmax::FRACTION };
    Held { source, encoding, ..sums.clone() }
}

/// The logistic curve of each number, by a table over 16 bits, in units of 2^-24.
fn chances(emitter: &mut Emitter, node: &Node, sums: &Held) -> Result<Held, CompileError> {
    let name = name(node);
    let most = (sums.encoding.high as f64 * sums.encoding.unit).min(LOGISTIC_MAX);
    let mut fraction = 30;
    while fraction > 0 && most * power_of_two(fraction) > 32_767.0 {
        fraction -= 1;
    }
    let high = (most * power_of_two(fraction)).ceil() as i64;
    let index = Encoding { element: Element::I16, unit: power_of_two(-fraction), low: -high, high };
    let x = emitter.requantise(&format!("{name}/index"), sums, index);
    let (unit, one) = (power_of_two(-24), 1_i64 << 24);
    let chance = |place: i64| features::logistic(place as f64 * index.unit);
    let entries = (-high..=high).map(|place| (chance(place) / unit).round_ties_even() as i64).collect();
    let table = emitter.constant(&format!("{name}/logistic"), Element::I32, &[2 * high as usize + 1], entries);
    let attributes = Attributes::new().with("first", -high);
    let source = emitter.add(&format!("{name}/chances"), &ops::lookup::OPERATOR, attributes, &[x.source, table]);
    Ok(Held { source, encoding: Encoding { element: Element::I32, unit, low: 0, high: one }, ..x })
}

/// Maps from labels to scores leave as rows of the scores, in the order of the labels.
pub fn rows_of_maps(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (slot, held) = emitter.operand(node, 0)?;
    let held = emitter.leaving(node, slot, &held)?;
    let to = result(node)?;
    emitter.keep(node, to, held)
}

/// A change of unit and clamp that a node's attributes say.
pub fn clamp(target: Encoding, shift: i64) -> Attributes {
    range(target).with("shift", shift)
}
