//! Windows over images that have no weights: the greatest, the mean, and fixed normalisation channel by channel.

use std::ops::Range;

use super::super::error::CompileError;
use super::super::integer::{encoding::Encoding, scale::Factor};
use super::emit::{Emitter, Held, name, range, refuse};
use super::layer::{Layer, Window, normalisation, window};
use super::linear;
use super::net::output;
use super::norm::axes;
use crate::operator::Operator;
use crate::program::{Node, index};
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
    let padded = node.flag("count_include_pad", false).unwrap_or(false);
    let meant = super::layer::windows(emitter.net, node, input, &window.kernel);
    let meant = meant.ok_or_else(|| refuse(node, "has windows that do not fit its image"))?;
    let counts = (0..window.kernel.len()).map(|axis| meant.counts(axis, padded)).collect();
    let attributes = lists(&window.kernel, &window.strides, &window.dilations, &window.pads);
    let slot = result(node)?;
    let shape = emitter.shape_last(slot);
    averaged(emitter, node, &held, (attributes, counts), shape)
}

/// Sums under windows, divided by how many places each has: along each axis so many, a window after the other.
fn averaged(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    (attributes, counts): (Attributes, Vec<Vec<usize>>),
    shape: Shape,
) -> Result<(), CompileError> {
    let (name, slot) = (name(node), result(node)?);
    let source = emitter.add(&format!("{name}/sums"), &ops::pool_sum::OPERATOR, attributes, &[x.source]);
    let limit = i64::from(i32::MAX);
    let encoding = Encoding { element: Element::I32, unit: x.encoding.unit, low: -limit, high: limit };
    let mut sums = Held { source, encoding, shape, last: x.last };
    for (axis, counts) in counts.iter().enumerate() {
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        // Where windows lie on the padding, their sums are raised to those of whole ones first.
        if counts.iter().any(|&count| count != most) {
            sums = raised(emitter, &format!("{name}/whole {axis}"), &sums, axis + 1, (counts, most));
        }
        sums.encoding.unit /= most as f64;
    }
    let target = emitter.target(node, slot)?;
    let held = emitter.requantise(&name, &sums, target);
    emitter.keep(node, slot, held)
}

/// Sums of some places each along an axis as if all had the most.
fn raised(emitter: &mut Emitter, name: &str, x: &Held, axis: usize, (counts, most): (&[usize], usize)) -> Held {
    let factors: Vec<Factor> = counts.iter().map(|&count| Factor::near(most as f64 / count.max(1) as f64)).collect();
    let mut list = |word: &str, element: Element, each: fn(&Factor) -> i64| {
        emitter.constant(&format!("{name}/{word}"), element, &[counts.len()], factors.iter().map(each).collect())
    };
    let multipliers = list("multipliers", Element::I32, |factor| factor.multiplier);
    let shifts = list("shifts", Element::U8, |factor| factor.shift);
    let attributes = range(x.encoding).with("axis", axis as i64);
    let source = emitter.add(name, &ops::requantise::OPERATOR, attributes, &[x.source, multipliers, shifts]);
    Held { source, ..x.clone() }
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
    let counts = kernel.iter().map(|&size| vec![size]).collect();
    averaged(emitter, node, held, (attributes, counts), shape)?;
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

pub fn global_greatest(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (_, held) = emitter.operand(node, 0)?;
    let held = emitter.last(&name(node), held);
    let places = 1..held.shape.rank().saturating_sub(1);
    let made = under_one(emitter, node, &held, places, &ops::pool_max::OPERATOR)?;
    emitter.keep(node, result(node)?, made)
}

pub fn reduced_greatest(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (held, places) = neighbours(emitter, node)?;
    let made = under_one(emitter, node, &held, places, &ops::pool_max::OPERATOR)?;
    emitter.keep(node, result(node)?, made)
}

pub fn reduced_sum(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (held, places) = neighbours(emitter, node)?;
    let made = under_one(emitter, node, &held, places, &ops::pool_sum::OPERATOR)?;
    let (slot, limit) = (result(node)?, i64::from(i32::MAX));
    let encoding = Encoding { element: Element::I32, unit: held.encoding.unit, low: -limit, high: limit };
    let target = emitter.target(node, slot)?;
    let held = emitter.requantise(&format!("{}/sum", name(node)), &Held { encoding, ..made }, target);
    emitter.keep(node, slot, held)
}

/// What a reduction reads, and which axes of what is held it is over.
fn neighbours(emitter: &mut Emitter, node: &Node) -> Result<(Held, Range<usize>), CompileError> {
    let (input, held) = emitter.operand(node, 0)?;
    let rank = emitter.net.rank(input);
    let stated = axes(emitter.net, node).ok_or_else(|| refuse(node, "has computed axes, or is over all"))?;
    let over = index::axes(&stated, rank).map_err(|problem| refuse(node, problem.to_string()))?;
    let (Some(&first), Some(&last)) = (over.first(), over.last()) else {
        return Err(refuse(node, "has no axes: expected those that it is over"));
    };
    if last + 1 - first != over.len() {
        return Err(refuse(node, format!("is over axes {over:?} of rank {rank}: expected neighbours")));
    }
    // The places of an image lie best with its channels innermost.
    if (held.last || rank > 3) && first == 2 && last + 1 == rank {
        return Ok((emitter.last(&name(node), held), 1..rank - 1));
    }
    Ok((emitter.plain(&name(node), held), first..last + 1))
}

/// One number for all places of neighbouring axes, which lie under one window; what lies behind them are its channels.
fn under_one(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    axes: Range<usize>,
    operator: &'static Operator,
) -> Result<Held, CompileError> {
    let (name, wanted) = (name(node), emitter.net.shape(result(node)?));
    let sizes = |range: Range<usize>| Shape(x.shape.0.get(range)?.to_vec()).sizes();
    let (kernel, behind) = (sizes(axes.clone()), sizes(axes.end..x.shape.rank()));
    let kernel = kernel.filter(|kernel| !kernel.is_empty() && wanted.rank() > 0);
    let (Some(kernel), Some(behind)) = (kernel, behind) else {
        return Err(refuse(node, "is over the rows, or over all or no axes"));
    };
    let front = x.shape.0.iter().copied().take(axes.start);
    let channels = [behind.iter().product::<usize>()].map(Dimension::Fixed);
    let under = front.chain(kernel.iter().copied().map(Dimension::Fixed)).chain(channels).collect();
    let under = emitter.reshape(&format!("{name}/under"), x, &Shape(under));
    let ones = vec![1; kernel.len()];
    let attributes = lists(&kernel, &ones, &ones, &vec![0; 2 * kernel.len()]);
    let source = emitter.add(&name, operator, attributes, &[under.source]);
    let mut made = Held { source, ..under };
    made.shape.0.iter_mut().skip(axes.start).take(kernel.len()).for_each(|size| *size = Dimension::Fixed(1));
    let made = emitter.reshape(&format!("{name}/alone"), &made, &wanted);
    Ok(Held { last: false, ..made })
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
    let layer =
        Layer { x: input, result: result(node)?, weights, bias, window: Some(window), stretch: None, clamp: None };
    linear::layer(emitter, node, &layer)
}
