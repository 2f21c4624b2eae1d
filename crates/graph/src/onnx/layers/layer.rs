//! A matrix of constant weights with all that can be folded into it: scales and sums per output (a `BatchNormalization` among
//! them) and the clamp behind.

use super::net::{Net, output};
use super::padding::zeros_around;
use super::transposed::{self, Stretch, Transposed};
use crate::program::window::Windows;
use crate::program::{Node, Source};

#[derive(Clone, Debug)]
pub struct Layer {
    pub x: u32,
    pub result: u32,
    /// One row for each output: `[places, channels of its group]`.
    pub weights: Vec<Vec<f64>>,
    pub bias: Vec<f64>,
    pub window: Option<Window>,
    /// Of a transposed convolution: its weights are those of its kernel, the window is that of each phase.
    pub stretch: Option<Stretch>,
    pub clamp: Option<(f64, f64)>,
}

/// The windows of a convolution; a matrix product has none.
#[derive(Clone, Debug)]
pub struct Window {
    pub groups: usize,
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    pub pads: Vec<usize>,
}

/// A sum of two values of the caller's data, perhaps clamped.
#[derive(Clone, Debug)]
pub struct Sum {
    pub operands: [u32; 2],
    pub subtracts: bool,
    pub result: u32,
    pub clamp: Option<(f64, f64)>,
}

pub fn find(net: &Net, node: &Node) -> Option<Layer> {
    let (clamp, mut cursor) = clamped(net, node)?;
    let mut steps = Vec::new();
    loop {
        if let Some(layer) = base(net, cursor) {
            return finish(layer, &steps, clamp, output(node)?);
        }
        let (inner, step) = per_output(net, cursor)?;
        steps.push(step);
        cursor = net.inner_maker(inner)?;
    }
}

pub fn sum(net: &Net, node: &Node) -> Option<Sum> {
    let (clamp, cursor) = clamped(net, node)?;
    let subtracts = match cursor.operator.name {
        "Add" => false,
        "Sub" => true,
        _ => return None,
    };
    let [one, other] = cursor.inputs[..] else { return None };
    Some(Sum { operands: [net.live(one)?, net.live(other)?], subtracts, result: output(node)?, clamp })
}

/// The bounds that a node clamps to, and the node inside; the node itself where it clamps nothing.
fn clamped<'a>(net: &Net<'a>, node: &'a Node) -> Option<(Option<(f64, f64)>, &'a Node)> {
    match bounds(net, node) {
        None => Some((None, node)),
        Some(bounds) => Some((Some(bounds), net.inner_maker(net.live(*node.inputs.first()?)?)?)),
    }
}

/// Between which numbers a node clamps.
pub fn bounds(net: &Net, node: &Node) -> Option<(f64, f64)> {
    let bound = |input: usize, name: &'static str, default: f64| match node.inputs.get(input) {
        None | Some(Source::Nothing) => Some(node.float_or_none(name).ok()?.map_or(default, f64::from)),
        Some(source) => net.number(*source),
    };
    match node.operator.name {
        "Relu" => Some((0.0, f64::INFINITY)),
        "Clip" => {
            let (low, high) = (bound(1, "min", f64::NEG_INFINITY)?, bound(2, "max", f64::INFINITY)?);
            // Of bounds the wrong way round the greater one counts for nothing.
            Some((low.min(high), high))
        }
        _ => None,
    }
}

/// Each output times a scale, then a sum.
struct Step {
    scale: Vec<f64>,
    sum: Vec<f64>,
}

/// A node that changes each output by numbers of its own, and what it reads.
fn per_output(net: &Net, node: &Node) -> Option<(u32, Step)> {
    let slot = output(node)?;
    let name = node.operator.name;
    if name == "BatchNormalization" {
        let (scale, sum) = normalisation(net, node)?;
        return Some((net.live(*node.inputs.first()?)?, Step { scale, sum }));
    }
    let [one, other] = node.inputs[..] else { return None };
    let (inner, constant, second) = match (net.live(one), net.live(other)) {
        (Some(inner), None) => (inner, other, true),
        (None, Some(inner)) => (inner, one, false),
        _ => return None,
    };
    let values = vector(net, constant, slot, inner)?;
    let (ones, zeros) = (vec![1.0; values.len()], vec![0.0; values.len()]);
    let negative = || values.iter().map(|value| -value).collect();
    Some((
        inner,
        match (name, second) {
            ("Add", _) => Step { scale: ones, sum: values },
            ("Sub", true) => Step { scale: ones, sum: negative() },
            ("Mul", _) => Step { scale: values, sum: zeros },
            ("Div", true) => Step { scale: values.iter().map(|value| 1.0 / value).collect(), sum: zeros },
            _ => return None,
        },
    ))
}

/// Scale and sum of a normalisation with fixed statistics.
pub fn normalisation(net: &Net, node: &Node) -> Option<(Vec<f64>, Vec<f64>)> {
    let floats = |input: usize| Some(net.floats(*node.inputs.get(input)?)?.1);
    let (gain, bias, mean, variance) = (floats(1)?, floats(2)?, floats(3)?, floats(4)?);
    let epsilon = f64::from(node.float("epsilon", 1e-5).ok()?);
    let trains = node.flag("training_mode", false).ok()? || node.outputs.iter().skip(1).any(Option::is_some);
    let same = [bias.len(), mean.len(), variance.len()].iter().all(|length| *length == gain.len());
    if trains || !same {
        return None;
    }
    let scale: Vec<f64> = gain
        .iter()
        .zip(&variance)
        .map(|(gain, variance)| f64::from(*gain) / (f64::from(*variance) + epsilon).sqrt())
        .collect();
    let sum =
        bias.iter().zip(&mean).zip(&scale).map(|((bias, mean), scale)| f64::from(*bias) - f64::from(*mean) * scale);
    let sum = sum.collect();
    Some((scale, sum))
}

/// A constant that has one number for each output of the layer that makes `slot`, whose shape it does not change.
fn vector(net: &Net, source: Source, slot: u32, inner: u32) -> Option<Vec<f64>> {
    let (shape, values) = net.floats(source)?;
    if net.shape(slot) != net.shape(inner) {
        return None;
    }
    let rank = net.rank(slot);
    let axis = if is_image(net, inner) { 1 } else { rank.checked_sub(1)? };
    let size = net.shape(slot).0.get(axis).copied();
    let own = axis.checked_sub(rank.checked_sub(shape.len())?);
    let count = match size {
        Some(crate::shape::Dimension::Fixed(size)) => size,
        _ => return None,
    };
    if values.len() == 1 {
        return Some(vec![values[0].into(); count]);
    }
    (values.len() == count && shape.get(own?) == Some(&count))
        .then(|| values.iter().map(|&value| value.into()).collect())
}

/// Whether a value's outputs lie along axis 1: it comes from a convolution.
fn is_image(net: &Net, slot: u32) -> bool {
    let Some(node) = net.maker(slot) else { return false };
    match node.operator.name {
        "BatchNormalization" | "Conv" | "ConvTranspose" => true,
        "Add" | "Sub" | "Mul" | "Div" => net.reads(node).first().is_some_and(|&slot| is_image(net, slot)),
        _ => false,
    }
}

fn base(net: &Net, node: &Node) -> Option<Layer> {
    match node.operator.name {
        "Conv" => convolution(net, node),
        "ConvTranspose" => transposed::find(net, node).map(transposed_layer),
        "MatMul" => {
            let (shape, values) = net.floats(*node.inputs.get(1)?)?;
            matrix(net, node, &shape, &values, true)
        }
        "Gemm" => gemm(net, node),
        _ => None,
    }
}

fn matrix(net: &Net, node: &Node, shape: &[usize], values: &[f32], turned: bool) -> Option<Layer> {
    let [rows, columns] = *shape else { return None };
    let x = net.live(*node.inputs.first()?)?;
    let at = |row: usize, column: usize| f64::from(values[row * columns + column]);
    let weights: Vec<Vec<f64>> = if turned {
        (0..columns).map(|column| (0..rows).map(|row| at(row, column)).collect()).collect()
    } else {
        (0..rows).map(|row| (0..columns).map(|column| at(row, column)).collect()).collect()
    };
    let bias = vec![0.0; weights.len()];
    let known = net.rank(x) > 0 && !weights.is_empty();
    known.then_some(Layer { x, result: 0, weights, bias, window: None, stretch: None, clamp: None })
}

fn gemm(net: &Net, node: &Node) -> Option<Layer> {
    let (alpha, beta) = (f64::from(node.float("alpha", 1.0).ok()?), f64::from(node.float("beta", 1.0).ok()?));
    if node.flag("transA", false).ok()? {
        return None;
    }
    let (shape, values) = net.floats(*node.inputs.get(1)?)?;
    let mut layer = matrix(net, node, &shape, &values, !node.flag("transB", false).ok()?)?;
    layer.weights.iter_mut().flatten().for_each(|weight| *weight *= alpha);
    if let Some(source) = node.inputs.get(2).filter(|source| **source != Source::Nothing) {
        let (shape, values) = net.floats(*source)?;
        let outputs = layer.bias.len();
        let each = values.len() == outputs && shape.last() == Some(&outputs);
        if !each && values.len() != 1 {
            return None;
        }
        layer.bias = (0..outputs).map(|output| f64::from(values[output % values.len()]) * beta).collect();
    }
    Some(layer)
}

fn convolution(net: &Net, node: &Node) -> Option<Layer> {
    let x = net.live(*node.inputs.first()?)?;
    let (shape, values) = net.floats(*node.inputs.get(1)?)?;
    let [outputs, channels, kernel @ ..] = shape.as_slice() else { return None };
    let groups = usize::try_from(node.integer("group", 1).ok()?).ok()?;
    let mut window = window(net, node, x, kernel, groups)?;
    // Zeros that stand around the image are padding like any other.
    let (x, zeros) = zeros_around(net, x).unwrap_or((x, Vec::new()));
    window.pads.iter_mut().zip(zeros).for_each(|(pad, zeros)| *pad += zeros);
    let places: usize = kernel.iter().product();
    let row = |output: usize| {
        let row = &values[output * channels * places..][..channels * places];
        (0..places)
            .flat_map(|place| (0..*channels).map(move |channel| f64::from(row[channel * places + place])))
            .collect()
    };
    let bias = match node.inputs.get(2) {
        None | Some(Source::Nothing) => vec![0.0; *outputs],
        Some(source) => net.floats(*source)?.1.iter().map(|&value| value.into()).collect(),
    };
    let weights = (0..*outputs).map(row).collect();
    Some(Layer { x, result: 0, weights, bias, window: Some(window), stretch: None, clamp: None })
}

fn transposed_layer(found: Transposed) -> Layer {
    let Transposed { x, groups, weights, bias, stretch } = found;
    let (kernel, pads) = (stretch.taps(), stretch.pads());
    let ones = vec![1; kernel.len()];
    let window = Window { groups, kernel, strides: ones.clone(), dilations: ones, pads };
    Layer { x, result: 0, weights, bias, window: Some(window), stretch: Some(stretch), clamp: None }
}

/// The windows of a convolution or pooling over the image in a slot.
pub fn window(net: &Net, node: &Node, x: u32, kernel: &[usize], groups: usize) -> Option<Window> {
    let [strides, dilations, pads] = windows(net, node, x, kernel)?.lists();
    Some(Window { groups, kernel: kernel.to_vec(), strides, dilations, pads })
}

/// The same as the program means them.
pub fn windows(net: &Net, node: &Node, x: u32, kernel: &[usize]) -> Option<Windows> {
    let shape = net.shape(x);
    let spatial = crate::shape::Shape(shape.0.get(2..)?.to_vec()).sizes()?;
    if spatial.len() != kernel.len() || kernel.is_empty() {
        return None;
    }
    Windows::new(node, &spatial, kernel).ok()
}

/// The layer with what lies behind it, from the innermost step outward.
fn finish(mut layer: Layer, steps: &[Step], clamp: Option<(f64, f64)>, result: u32) -> Option<Layer> {
    for step in steps.iter().rev() {
        if step.scale.len() != layer.bias.len() || step.sum.len() != layer.bias.len() {
            return None;
        }
        for (output, row) in layer.weights.iter_mut().enumerate() {
            row.iter_mut().for_each(|weight| *weight *= step.scale[output]);
            layer.bias[output] = layer.bias[output] * step.scale[output] + step.sum[output];
        }
    }
    let finite = layer.bias.iter().chain(layer.weights.iter().flatten()).all(|value| value.is_finite());
    finite.then_some(Layer { result, clamp, ..layer })
}
