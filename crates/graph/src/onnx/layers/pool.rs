//! Windows over images that have no weights: the greatest, the mean, and fixed normalisation channel by channel.

use super::super::error::CompileError;
use super::super::integer::encoding::Encoding;
use super::emit::{Emitter, Held, name, refuse};
use super::layer::{Layer, Window, normalisation, window};
use super::linear;
use super::net::output;
use super::norm::axes;
use crate::program::Node;
use crate::shape::{Dimension, Shape};
use crate::tensor::Element;
use crate::{Attributes, ops};

fn result(node: &Node) -> Result<u32, CompileError> {
    output(node).ok_or_else(|| refuse(node, "makes nothing that is read"))
}

fn lists(kernel: &[usize], strides: &[usize], dilations: &[usize], pads: &[usize]) -> Attributes {
    let list = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<i64>>();
    let lists = Attributes::new().with("kernel", list(kernel)).with("strides", list(strides));
    lists.with("dilations", list(dilations)).with("pads", list(pads))
}

fn kernel(node: &Node) -> Result<Vec<usize>, CompileError> {
    let kernel = node.integers("kernel_shape").ok().flatten().unwrap_or(&[]);
    let sizes: Option<Vec<usize>> = kernel.iter().map(|&size| usize::try_from(size).ok()).collect();
    sizes.filter(|sizes| !sizes.is_empty()).ok_or_else(|| refuse(node, "has no attribute \"kernel_shape\""))
}

fn windows(emitter: &Emitter, node: &Node, slot: u32) -> Result<Window, CompileError> {
    let kernel = kernel(node)?;
    window(emitter.net, node, slot, &kernel, 1).ok_or_else(|| refuse(node, "has windows that do not fit its image"))
}

pub fn greatest(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    if node.outputs.iter().skip(1).any(Option::is_some) {
        return Err(refuse(node, "gives indices, which has no integer form"));
    }
    let name = name(node);
    let held = emitter.last(&name, held);
    let window = windows(emitter, node, input)?;
    let attributes = lists(&window.kernel, &window.strides, &window.dilations, &window.pads);
    let source = emitter.add(&name, &ops::pool_max::OPERATOR, attributes, &[held.source]);
    let slot = result(node)?;
    let shape = emitter.shape_last(slot);
    emitter.keep(node, slot, Held { source, shape, ..held })
}

pub fn average(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let name = name(node);
    let held = emitter.last(&name, held);
    let window = windows(emitter, node, input)?;
    let counts = node.flag("count_include_pad", false).unwrap_or(false);
    let ceil = node.flag("ceil_mode", false).unwrap_or(false);
    if window.pads.iter().any(|&pad| pad > 0) && (!counts || ceil) {
        return Err(refuse(node, "divides by less where a window lies on the padding"));
    }
    let attributes = lists(&window.kernel, &window.strides, &window.dilations, &window.pads);
    let places = window.kernel.iter().product();
    let slot = result(node)?;
    let shape = emitter.shape_last(slot);
    averaged(emitter, node, &held, attributes, places, shape)
}

/// Sums under windows, divided by so many places.
fn averaged(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    attributes: Attributes,
    places: usize,
    shape: Shape,
) -> Result<(), CompileError> {
    let (name, slot) = (name(node), result(node)?);
    let source = emitter.add(&format!("{name}/sums"), &ops::pool_sum::OPERATOR, attributes, &[x.source]);
    let limit = i64::from(i32::MAX);
    let unit = x.encoding.unit / places as f64;
    let encoding = Encoding { element: Element::I32, unit, low: -limit, high: limit };
    let target = emitter.target(node, slot)?;
    let held = emitter.requantise(&name, &Held { source, encoding, shape, last: x.last }, target);
    emitter.keep(node, slot, held)
}

pub fn global(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (_, held) = emitter.operand(node, 0)?;
    let held = emitter.last(&name(node), held);
    spatial(emitter, node, &held, result(node)?)
}

/// The mean over all places of an image that is held with its channels innermost.
fn spatial(emitter: &mut Emitter, node: &Node, held: &Held, slot: u32) -> Result<(), CompileError> {
    let sizes = held.shape.0.get(1..held.shape.rank().saturating_sub(1)).map(<[Dimension]>::to_vec).unwrap_or_default();
    let Some(kernel) = Shape(sizes).sizes().filter(|sizes| !sizes.is_empty()) else {
        return Err(refuse(node, "means over rows, or nothing"));
    };
    let ones = vec![1; kernel.len()];
    let attributes = lists(&kernel, &ones, &ones, &vec![0; 2 * kernel.len()]);
    let mut shape = held.shape.clone();
    let rank = shape.rank();
    shape.0.iter_mut().take(rank - 1).skip(1).for_each(|size| *size = Dimension::Fixed(1));
    averaged(emitter, node, held, attributes, kernel.iter().product(), shape)?;
    // Without its axes of one, where these are dropped.
    let wanted = emitter.net.shape(slot);
    if wanted.rank() != rank
        && let Some(made) = emitter.held(slot)
    {
        let made = emitter.reshape(&format!("{}/alone", name(node)), &made, &wanted);
        emitter.keep(node, slot, Held { last: false, ..made })?;
    }
    Ok(())
}

/// A mean over the places of an image, or over the positions of a sequence.
pub fn mean(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let rank = emitter.net.rank(input) as i64;
    let axes = axes(emitter.net, node).ok_or_else(|| refuse(node, "has computed axes, or means over all"))?;
    let mut axes: Vec<i64> = axes.into_iter().map(|axis| if axis < 0 { axis + rank } else { axis }).collect();
    axes.sort_unstable();
    let (name, slot) = (name(node), result(node)?);
    let over: Vec<i64> = (2..rank).collect();
    if rank > 2 && axes == over {
        let held = emitter.last(&name, held);
        return spatial(emitter, node, &held, slot);
    }
    // The axes in front of the innermost are windows as they stand.
    let before: Vec<i64> = (1..rank - 1).collect();
    if rank > 2 && axes == before {
        let held = emitter.plain(&name, held);
        return spatial(emitter, node, &held, slot);
    }
    Err(refuse(node, format!("means over axes {axes:?} of rank {rank}")))
}

/// A normalisation that no layer stands before: a layer of its own, a channel a group.
pub fn normalise(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let (scale, bias) =
        normalisation(emitter.net, node).ok_or_else(|| refuse(node, "is no normalisation with constants"))?;
    let axes = emitter.net.rank(input).saturating_sub(2);
    let ones = vec![1; axes];
    let window = Window {
        groups: scale.len(),
        kernel: ones.clone(),
        strides: ones.clone(),
        dilations: ones,
        pads: vec![0; 2 * axes],
    };
    if held.shape.rank() < 3 {
        return Err(refuse(node, "normalises something that is no image"));
    }
    let weights = scale.into_iter().map(|scale| vec![scale]).collect();
    let layer = Layer { x: input, result: result(node)?, weights, bias, window: Some(window), clamp: None };
    linear::layer(emitter, node, &layer)
}
