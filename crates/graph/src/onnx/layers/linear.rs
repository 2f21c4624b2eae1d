//! Layers, sums and norms as integer nodes.

use super::super::error::CompileError;
use super::super::integer::{
    encoding::{Encoding, rounded},
    scale::Factor,
};
use super::emit::{Emitter, Held, name, range, refuse};
use super::encoding::clamped;
use super::interleave;
use super::layer::{Layer, Sum};
use super::norm::Norm;
use crate::graph::Source;
use crate::program::Node;
use crate::shape::{Dimension, Shape};
use crate::tensor::{Element, Tensor};
use crate::{Attributes, Packed, ops};

/// Greatest bias in units of its accumulator.
const BIAS_MAX: f64 = 16_777_216.0;

/// Weights of 8 bits, biases and scales of a layer. Each output's weight unit is what its factor says, so that the step from
/// accumulator to result has no error of its own.
struct Fitted {
    weights: Vec<i8>,
    biases: Vec<i64>,
    factors: Vec<Factor>,
}

fn fit(layer: &Layer, x: Encoding, target: Encoding) -> Fitted {
    let mut fitted = Fitted { weights: Vec::new(), biases: Vec::new(), factors: Vec::new() };
    for (row, &bias) in layer.weights.iter().zip(&layer.bias) {
        let most = row.iter().fold(0.0_f64, |most, weight| most.max(weight.abs()));
        let least = (most / 127.0).max(bias.abs() / (x.unit * BIAS_MAX));
        let factor = if least > 0.0 { Factor::least(x.unit * least / target.unit) } else { Factor::ONE };
        let unit = factor.value() * target.unit / x.unit;
        let weight = Encoding { element: Element::I8, unit, low: -127, high: 127 };
        fitted.weights.extend(row.iter().map(|&value| rounded(value, weight) as i8));
        let limit = BIAS_MAX as i64 + 1;
        let sums = Encoding { element: Element::I32, unit: unit * x.unit, low: -limit, high: limit };
        fitted.biases.push(rounded(bias, sums));
        fitted.factors.push(factor);
    }
    fitted
}

pub fn layer(emitter: &mut Emitter, node: &Node, layer: &Layer) -> Result<(), CompileError> {
    let name = name(node);
    let x = emitter.eight(node, layer.x, false)?;
    let x = if layer.window.is_some() { emitter.last(&name, x) } else { emitter.plain(&name, x) };
    let spread = layer.stretch.as_ref().map(|stretch| interleave::spread(layer, stretch));
    let laid = spread.as_ref().unwrap_or(layer);
    let columns = laid.weights.first().map_or(0, Vec::len);
    let groups = layer.window.as_ref().map_or(1, |window| window.groups);
    let places = layer.window.as_ref().map_or(1, |window| window.kernel.iter().product());
    if x.shape.width().is_none_or(|channels| channels * places != columns * groups) {
        return Err(refuse(node, format!("multiplies {} by rows of {columns} weights", x.shape)));
    }
    let target = clamped(emitter.target(node, layer.result)?, layer.clamp);
    let source = weigh(emitter, node, &x, laid, target)?;
    let last = layer.window.is_some();
    let shape = if last { emitter.shape_last(layer.result) } else { emitter.net.shape(layer.result) };
    let held = Held { source, encoding: target, shape, last };
    let held = match &layer.stretch {
        Some(stretch) => interleave::interleaved(emitter, node, &held, layer, stretch)?,
        None => held,
    };
    emitter.keep(node, layer.result, held)
}

fn weigh(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    layer: &Layer,
    target: Encoding,
) -> Result<Source, CompileError> {
    let (name, fitted) = (name(node), fit(layer, x.encoding, target));
    let shape = [layer.bias.len(), layer.weights.first().map_or(0, Vec::len)];
    let packed = Packed::of_integers(&shape, &fitted.weights).ok_or_else(|| refuse(node, "has no weights"))?;
    let weights = emitter.graph.constant(format!("{name}/weights"), Tensor::packed(&shape, packed));
    let bias = emitter.constant(&format!("{name}/bias"), Element::I32, &[shape[0]], fitted.biases);
    let each = |value: fn(&Factor) -> i64| fitted.factors.iter().map(value).collect::<Vec<i64>>();
    let multipliers = each(|factor| factor.multiplier);
    let multipliers = emitter.constant(&format!("{name}/multipliers"), Element::I32, &[shape[0]], multipliers);
    let shifts = emitter.constant(&format!("{name}/shifts"), Element::U8, &[shape[0]], each(|factor| factor.shift));
    let list = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<i64>>();
    let (kernel, strides, dilations, pads, groups) = match &layer.window {
        Some(window) => {
            (&window.kernel[..], &window.strides[..], &window.dilations[..], &window.pads[..], window.groups)
        }
        None => (&[][..], &[][..], &[][..], &[][..], 1),
    };
    let attributes = range(target).with("kernel", list(kernel)).with("strides", list(strides));
    let attributes =
        attributes.with("dilations", list(dilations)).with("pads", list(pads)).with("groups", groups as i64);
    Ok(emitter.add(&name, &ops::convolve::OPERATOR, attributes, &[x.source, weights, bias, multipliers, shifts]))
}

/// Bits of the factors of a scaled sum: with two operands of 16 bits, all stays within 32.
const SUM_FACTOR: f64 = 16_383.0;

pub fn sum(emitter: &mut Emitter, node: &Node, sum: &Sum) -> Result<(), CompileError> {
    let [one, other] = sum.operands;
    let (one, other) = (emitter.need(node, one)?, emitter.need(node, other)?);
    let target = clamped(emitter.target(node, sum.result)?, sum.clamp);
    let (one, other) = together(emitter, node, one, other)?;
    let held = add(emitter, node, &one, &other, target, sum.subtracts)?;
    let last = held.last;
    let shape = if last { emitter.shape_last(sum.result) } else { emitter.net.shape(sum.result) };
    emitter.keep(node, sum.result, Held { shape, ..held })
}

/// Two operands with their axes in one order.
pub fn together(emitter: &mut Emitter, node: &Node, one: Held, other: Held) -> Result<(Held, Held), CompileError> {
    let name = name(node);
    if one.last == other.last {
        return Ok((one, other));
    }
    if one.shape.rank() == other.shape.rank() {
        return Ok((emitter.last(&name, one), emitter.last(&format!("{name}/2"), other)));
    }
    Ok((emitter.plain(&name, one), emitter.plain(&format!("{name}/2"), other)))
}

pub fn add(
    emitter: &mut Emitter,
    node: &Node,
    one: &Held,
    other: &Held,
    target: Encoding,
    subtracts: bool,
) -> Result<Held, CompileError> {
    let ratios = [one, other].map(|held| held.encoding.unit / target.unit);
    let mut shift = 0;
    while shift < 48 && ratios[0].max(ratios[1]) * crate::ops::quantise::power_of_two(shift + 1) <= SUM_FACTOR {
        shift += 1;
    }
    let scaled = ratios.map(|ratio| (ratio * crate::ops::quantise::power_of_two(shift)).round_ties_even());
    if scaled.iter().any(|factor| *factor > 2_147_483_647.0) {
        return Err(refuse(node, "adds values whose scales lie too far apart"));
    }
    let right = if subtracts { -(scaled[1] as i64) } else { scaled[1] as i64 };
    let attributes = range(target).with("left", scaled[0] as i64).with("right", right).with("shift", shift);
    let source = emitter.add(&name(node), &ops::add_scaled::OPERATOR, attributes, &[one.source, other.source]);
    Ok(Held { source, encoding: target, ..one.clone() })
}

/// Greatest gain, in its own units.
const GAIN_MAX: f64 = 16_777_216.0;

pub fn norm(emitter: &mut Emitter, node: &Node, norm: &Norm) -> Result<(), CompileError> {
    let x = emitter.need(node, norm.x)?;
    let x = emitter.plain(&name(node), x);
    let target = emitter.target(node, norm.result)?;
    let source = normalised(emitter, node, &x, norm, target)?;
    let shape: Shape = emitter.net.shape(norm.result);
    emitter.keep(node, norm.result, Held { source, encoding: target, shape, last: false })
}

/// What is held normalised along its innermost axis, by the gain and the bias of each place there.
pub fn normalised(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    norm: &Norm,
    target: Encoding,
) -> Result<Source, CompileError> {
    let name = name(node);
    let Some(Dimension::Fixed(width)) = x.shape.0.last().copied() else {
        return Err(refuse(node, "works along rows"));
    };
    let most = norm.gain.iter().fold(1e-30_f64, |most, &gain| most.max(f64::from(gain).abs()));
    // Gain in units of 2^-bits, what is normalised in units of 2^-16: their product in units of 2^-(16 + bits).
    let mut bits = 0;
    while bits < 40 && most / target.unit * crate::ops::quantise::power_of_two(bits + 1) <= GAIN_MAX {
        bits += 1;
    }
    let scale = crate::ops::quantise::power_of_two(bits) / target.unit;
    let gain: Vec<i64> = norm.gain.iter().map(|&gain| (f64::from(gain) * scale).round_ties_even() as i64).collect();
    if gain.iter().any(|gain| gain.unsigned_abs() > 1 << 30) {
        return Err(refuse(node, "has a gain that is too large for its values"));
    }
    let one = crate::ops::quantise::power_of_two(i64::from(ops::layer_norm::FRACTION));
    let bias = norm.bias.iter().map(|&bias| (f64::from(bias) * scale * one).round_ties_even() as i64).collect();
    let epsilon = norm.epsilon / (x.encoding.unit * x.encoding.unit) * (width * width) as f64;
    let epsilon = epsilon.round_ties_even().clamp(1.0, 1e15) as i64;
    let gain = emitter.constant(&format!("{name}/gain"), Element::I32, &[width], gain);
    let bias = emitter.constant(&format!("{name}/bias"), Element::I64, &[width], bias);
    let shift = bits + i64::from(ops::layer_norm::FRACTION);
    let attributes: Attributes = range(target).with("epsilon", epsilon).with("shift", shift);
    Ok(emitter.add(&name, &ops::layer_norm::OPERATOR, attributes, &[x.source, gain, bias]))
}
