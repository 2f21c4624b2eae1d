//! Normalisation of each channel, or of groups of channels, over all places of an image: one long row each, then gain and bias of the
//! channels.

use super::super::error::CompileError;
use super::super::integer::encoding::Encoding;
use super::emit::{Emitter, Held, name, refuse};
use super::linear::{add, normalised};
use super::net::output;
use super::norm::Norm;
use super::products::sixteen;
use crate::ops::quantise::power_of_two;
use crate::program::Node;
use crate::shape::{Dimension, Shape};
use crate::tensor::Element;
use crate::{Attributes, ops};

/// What is normalised lies within ±32, in units of 2^-10, where channels have gains of their own.
const NORMAL: Encoding = Encoding { element: Element::I16, unit: 1.0 / 1024.0, low: -32_767, high: 32_767 };
/// Products have units of so many bits below those of the result.
const BELOW: i64 = 8;

/// A gain and a bias for each channel.
type Factors = (Vec<f32>, Vec<f32>);

pub fn normalise(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let (name, slot) = (name(node), output(node).ok_or_else(|| refuse(node, "makes nothing that is read"))?);
    let held = emitter.plain(&name, held);
    let shape = emitter.net.shape(input);
    let sizes = shape.0.get(1..).and_then(|sizes| Shape(sizes.to_vec()).sizes()).filter(|sizes| sizes.len() > 1);
    let sizes = sizes.ok_or_else(|| refuse(node, format!("normalises {shape}, expected an image")))?;
    let (channels, all) = (sizes[0], sizes.iter().product::<usize>());
    let groups = node.integer("num_groups", channels as i64).ok().and_then(|groups| usize::try_from(groups).ok());
    let groups = groups.filter(|groups| *groups > 0 && channels % groups == 0);
    let found = groups.zip(factors(emitter, node, channels));
    let (groups, (gain, bias)) = found.ok_or_else(|| refuse(node, "has computed gains or biases, or odd groups"))?;
    let width = all / groups;
    let rows = shape.0.iter().copied().take(1).chain([groups, width].map(Dimension::Fixed)).collect();
    let rows = emitter.reshape(&format!("{name}/rows"), &held, &Shape(rows));
    let target = emitter.target(node, slot)?;
    let epsilon = f64::from(node.float("epsilon", 1e-5).unwrap_or(1e-5));
    let same = |values: &[f32]| values.first().copied().filter(|first| values.iter().all(|value| value == first));
    let norm = |gain, bias| Norm { x: input, result: slot, gain: vec![gain; width], bias: vec![bias; width], epsilon };
    if let (Some(gain), Some(bias)) = (same(&gain), same(&bias)) {
        let source = normalised(emitter, node, &rows, &norm(gain, bias), target)?;
        let made = emitter.reshape(&format!("{name}/image"), &Held { source, encoding: target, ..rows }, &shape);
        return emitter.keep(node, slot, made);
    }
    let source = normalised(emitter, node, &rows, &norm(1.0, 0.0), NORMAL)?;
    let image = emitter.reshape(&format!("{name}/image"), &Held { source, encoding: NORMAL, ..rows }, &shape);
    let made = placed(emitter, node, &image, (gain, bias), target)?;
    emitter.keep(node, slot, made)
}

/// Of each channel; of a group's before operator set 21.
fn factors(emitter: &Emitter, node: &Node, channels: usize) -> Option<Factors> {
    let each = |input: usize| {
        let values = emitter.net.floats(*node.inputs.get(input)?)?.1;
        let of_each = channels.checked_div(values.len()).filter(|count| count * values.len() == channels)?;
        Some((0..channels).map(|channel| values[channel / of_each]).collect())
    };
    Some((each(1)?, each(2)?))
}

/// Times its gain plus its bias, channel by channel.
fn placed(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    (gain, bias): Factors,
    target: Encoding,
) -> Result<Held, CompileError> {
    let name = name(node);
    let mut sizes = vec![1; x.shape.rank() - 1];
    sizes[0] = gain.len();
    let gain = sixteen(emitter, &format!("{name}/gains"), &sizes, &gain);
    let bias = sixteen(emitter, &format!("{name}/biases"), &sizes, &bias);
    let limit = i64::from(i32::MAX);
    let wide = |unit: f64| Encoding { element: Element::I32, unit, low: -limit, high: limit };
    let sources = [x.source, gain.source];
    let source = emitter.add(&format!("{name}/products"), &ops::multiply::OPERATOR, Attributes::new(), &sources);
    let products = Held { source, encoding: wide(x.encoding.unit * gain.encoding.unit), ..x.clone() };
    let fine = wide(target.unit * power_of_two(-BELOW));
    let products = emitter.requantise(&format!("{name}/scaled"), &products, fine);
    add(emitter, node, &products, &bias, target, false)
}
