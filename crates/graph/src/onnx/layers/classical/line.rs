//! Linear models: sums of features that stay precise, whatever their sizes. What scales features in front is folded into them.

use super::super::emit::{Emitter, Held, name, refuse};
use super::super::encoding::most;
use super::columns::{result, rows};
use super::labels;
use super::scores::{self, Scores, clamp};
use crate::onnx::error::CompileError;
use crate::onnx::integer::encoding::Encoding;
use crate::ops::quantise::power_of_two;
use crate::program::features::{self, Transform};
use crate::program::{Array, Node};
use crate::tensor::Element;
use crate::{Attributes, ops};

/// `Σ_k x_k · weights[n][k] + bias[n]`.
pub struct Lines {
    pub weights: Vec<Vec<f64>>,
    pub bias: Vec<f64>,
}

/// Greatest of what a sum of products comes to, in its own units.
const SUM_MAX: f64 = 1_152_921_504_606_846_976.0;
/// Greatest weight, and greatest result, in units.
const WEIGHT_MAX: f64 = 1_073_741_824.0;

impl Lines {
    fn of(node: &Node, features: usize) -> Option<Self> {
        let weights = node.floats("coefficients").ok()??;
        let lines = weights.len().checked_div(features)?;
        let bias = node.floats("intercepts").ok()?.unwrap_or_default();
        let rows =
            weights.chunks_exact(features).map(|row| row.iter().map(|&weight| weight.into()).collect()).collect();
        let bias = (0..lines).map(|line| bias.get(line).copied().unwrap_or(0.0).into()).collect();
        (lines > 0 && lines * features == weights.len()).then_some(Self { weights: rows, bias })
    }
}

pub fn regressor(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let slot = result(node)?;
    let lines = read(emitter, node)?;
    let sums = sums(emitter, node, lines, slot)?;
    let transform = Transform::of(node).map_err(|_| refuse(node, "has an unknown transform"))?;
    let most = most_of(emitter, slot);
    scores::finish(emitter, node, slot, Scores { sums, transform, most })
}

/// Results reach eight times as far as calibration saw.
fn most_of(emitter: &Emitter, slot: u32) -> f64 {
    emitter.net.seen(slot).map_or(f64::INFINITY, |seen| 8.0 * most(seen))
}

pub fn classifier(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let mut lines = read(emitter, node)?;
    let transform = Transform::of(node).map_err(|_| refuse(node, "has an unknown transform"))?;
    let stated = ["classlabels_ints", "classlabels_strings"];
    let texts = node.texts("classlabels_strings").ok().flatten().filter(|texts| !texts.is_empty());
    let whole = node.integers("classlabels_ints").ok().flatten().filter(|labels| !labels.is_empty());
    let count = lines.bias.len();
    let list = match (whole, texts) {
        (Some(labels), None) => Array::i64s(&[labels.len()], labels.to_vec()),
        (None, Some(texts)) => Array::texts(&[texts.len()], texts.to_vec()),
        (None, None) => Array::i64s(&[count], (0..count as i64).collect()),
        (Some(_), Some(_)) => return Err(refuse(node, format!("states both of {stated:?}"))),
    };
    let list = list.map_err(|_| refuse(node, "has too many labels"))?;
    if count == 1 && list.len() == 2 {
        // One line tells two classes apart: the first one's score is the second's with the other sign.
        lines.weights.insert(0, lines.weights[0].iter().map(|weight| -weight).collect());
        lines.bias.insert(0, -lines.bias[0]);
    } else if count < 2 || list.len() != count {
        return Err(refuse(node, format!("has {count} lines for {} labels, expected a line for each", list.len())));
    }
    let (first, second) = (node.outputs.first().copied().flatten(), node.outputs.get(1).copied().flatten());
    let shaped = second.or(first).ok_or_else(|| refuse(node, "makes nothing that is read"))?;
    let sums = sums(emitter, node, lines, shaped)?;
    if let Some(slot) = first {
        labels::greatest(emitter, node, slot, &sums, &list)?;
    }
    match second {
        Some(slot) => {
            let most = most_of(emitter, slot);
            scores::finish(emitter, node, slot, Scores { sums, transform, most })
        }
        None => Ok(()),
    }
}

fn read(emitter: &Emitter, node: &Node) -> Result<Lines, CompileError> {
    let x = node.inputs.first().and_then(|&source| emitter.net.live(source));
    let width = x.and_then(|slot| emitter.net.shape(slot).width()).filter(|&width| width > 0);
    let lines = width.and_then(|width| Lines::of(node, width));
    lines.ok_or_else(|| refuse(node, "has no line of coefficients for each target"))
}

/// The sums as integers within ± 2^30, in units of a power of two.
fn sums(emitter: &mut Emitter, node: &Node, lines: Lines, shaped: u32) -> Result<Held, CompileError> {
    let slot = node.inputs.first().and_then(|&source| emitter.net.live(source));
    let slot = slot.ok_or_else(|| refuse(node, "reads nothing that depends on the inputs"))?;
    let (root, lines) = folded(emitter, slot, lines);
    let x = emitter.need(node, root)?;
    let seen = emitter.net.seen(root).map_or(0.0, most);
    let mut held = weigh(emitter, node, "sums", (&x, seen), &lines)?;
    held.shape = rows(emitter, shaped, lines.bias.len());
    Ok(held)
}

/// The lines over what stands in front of scalers.
fn folded(emitter: &Emitter, slot: u32, mut lines: Lines) -> (u32, Lines) {
    let mut slot = slot;
    while let Some((inner, offsets, scales)) = scaler(emitter, slot) {
        for (row, bias) in lines.weights.iter_mut().zip(&mut lines.bias) {
            for ((weight, offset), scale) in row.iter_mut().zip(&offsets).zip(&scales) {
                *weight *= scale;
                *bias -= *weight * offset;
            }
        }
        slot = inner;
    }
    (slot, lines)
}

/// What a scaler reads, its offsets and scales, where one alone makes a slot.
fn scaler(emitter: &Emitter, slot: u32) -> Option<(u32, Vec<f64>, Vec<f64>)> {
    let node = emitter.net.maker(slot).filter(|node| node.operator.name == "Scaler")?;
    let inner = emitter.net.live(*node.inputs.first()?)?;
    emitter.held(inner)?;
    let (offsets, scales) = affine(emitter, node)?;
    Some((inner, offsets, scales))
}

/// Offsets and scales of a `Scaler`, one for each feature.
pub fn affine(emitter: &Emitter, node: &Node) -> Option<(Vec<f64>, Vec<f64>)> {
    let width = emitter.net.shape(emitter.net.live(*node.inputs.first()?)?).width()?;
    let each = |name, default| {
        let values = features::each_or_one(node, name, width, default).ok()?;
        Some(values.into_iter().map(f64::from).collect::<Vec<f64>>())
    };
    Some((each("offset", 0.0)?, each("scale", 1.0)?))
}

/// Lines over integers. The unit of the result is the smallest power of two for which four times what calibration saw fits.
pub fn weigh(
    emitter: &mut Emitter,
    node: &Node,
    word: &str,
    (x, seen): (&Held, f64),
    lines: &Lines,
) -> Result<Held, CompileError> {
    let own = |weight: f64| weight * x.encoding.unit;
    let greatest = x.encoding.low.unsigned_abs().max(x.encoding.high.unsigned_abs()) as f64;
    let norms: Vec<f64> = lines.weights.iter().map(|row| row.iter().map(|&weight| own(weight).abs()).sum()).collect();
    let norm = norms.iter().copied().fold(0.0, f64::max);
    let bias = lines.bias.iter().fold(0.0_f64, |most, bias| most.max(bias.abs()));
    let bound = norm * greatest + bias;
    let single = lines.weights.iter().flatten().fold(0.0_f64, |most, &weight| most.max(own(weight).abs()));
    if !bound.is_finite() {
        return Err(refuse(node, "has coefficients that are not finite"));
    }
    // Units of a product: as fine as weights of 30 bits and sums of 60 allow.
    let mut fine = 62;
    while fine > -40 && (bound * power_of_two(fine) > SUM_MAX || single * power_of_two(fine) > WEIGHT_MAX) {
        fine -= 1;
    }
    let seen = norm * (seen / x.encoding.unit) + bias;
    let mut coarse = fine.min(40);
    while fine - coarse < 62 && seen * 4.0 * power_of_two(coarse) > WEIGHT_MAX {
        coarse -= 1;
    }
    let scaled = |value: f64| (value * power_of_two(fine)).round_ties_even() as i64;
    let columns = lines.weights.first().map_or(0, Vec::len);
    let weights = lines.weights.iter().flatten().map(|&weight| scaled(own(weight))).collect();
    let name = format!("{}/{word}", name(node));
    let weights = emitter.constant(&format!("{name}/weights"), Element::I32, &[lines.bias.len(), columns], weights);
    let bias = lines.bias.iter().map(|&bias| scaled(bias)).collect();
    let bias = emitter.constant(&format!("{name}/bias"), Element::I64, &[lines.bias.len()], bias);
    let (unit, limit) = (power_of_two(-coarse), 1 << 30);
    let encoding = Encoding { element: Element::I32, unit, low: -limit, high: limit };
    let attributes: Attributes = clamp(encoding, fine - coarse);
    let source = emitter.add(&name, &ops::weigh::OPERATOR, attributes, &[x.source, weights, bias]);
    Ok(Held { source, encoding, ..x.clone() })
}
