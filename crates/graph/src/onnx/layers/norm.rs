//! Normalisation over the innermost axis, as one node or as the nodes that it is made of.

use super::net::{Net, output};
use crate::program::{Node, Source};

#[derive(Clone, Debug)]
pub struct Norm {
    pub x: u32,
    pub result: u32,
    pub gain: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f64,
}

pub fn find(net: &Net, node: &Node) -> Option<Norm> {
    if node.operator.name == "LayerNormalization" { whole(net, node) } else { parts(net, node) }
}

fn whole(net: &Net, node: &Node) -> Option<Norm> {
    let x = net.live(*node.inputs.first()?)?;
    let axis = node.integer("axis", -1).ok()?;
    let width = net.shape(x).width()?;
    let innermost = axis == -1 || axis + 1 == net.rank(x) as i64;
    if !innermost || node.outputs.iter().skip(1).any(Option::is_some) {
        return None;
    }
    let gain = vector(net, *node.inputs.get(1)?, width)?;
    let bias = match node.inputs.get(2) {
        None | Some(Source::Nothing) => vec![0.0; width],
        Some(source) => vector(net, *source, width)?,
    };
    let epsilon = f64::from(node.float("epsilon", 1e-5).ok()?);
    Some(Norm { x, result: output(node)?, gain, bias, epsilon })
}

/// A constant with one number for each column, or one for all.
fn vector(net: &Net, source: Source, width: usize) -> Option<Vec<f32>> {
    let (shape, values) = net.floats(source)?;
    match values.len() {
        1 => Some(vec![values[0]; width]),
        count if count == width && shape.last() == Some(&width) => Some(values),
        _ => None,
    }
}

/// `(x - mean(x)) / sqrt(mean((x - mean(x))²) + epsilon) · gain + bias`, where gain and bias may be left out.
fn parts(net: &Net, node: &Node) -> Option<Norm> {
    let mut cursor = node;
    let width = net.shape(output(node)?).width()?;
    let (mut gain, mut bias) = (vec![1.0; width], vec![0.0; width]);
    if cursor.operator.name == "Add" {
        let (inner, values) = with_vector(net, cursor, width)?;
        (cursor, bias) = (inner, values);
    }
    if cursor.operator.name == "Mul" {
        let (inner, values) = with_vector(net, cursor, width)?;
        (cursor, gain) = (inner, values);
    }
    if cursor.operator.name != "Div" {
        return None;
    }
    let centred = net.live(*cursor.inputs.first()?)?;
    let x = centred_of(net, centred)?;
    let root = made(net, *cursor.inputs.get(1)?, "Sqrt")?;
    let shifted = made(net, *root.inputs.first()?, "Add")?;
    let (mean, epsilon) = with_number(net, shifted)?;
    let mean = made(net, mean, "ReduceMean").filter(|mean| is_mean(net, mean))?;
    let square = net.maker(net.live(*mean.inputs.first()?)?)?;
    let squares = match square.operator.name {
        "Pow" => net.number(*square.inputs.get(1)?)? == 2.0,
        "Mul" => square.inputs.first() == square.inputs.get(1),
        _ => false,
    };
    let same = net.live(*square.inputs.first()?)? == centred;
    (squares && same).then(|| Norm { x, result: output(node).unwrap_or(0), gain, bias, epsilon })
}

/// `x`, where the slot is `x - mean(x)`.
fn centred_of(net: &Net, slot: u32) -> Option<u32> {
    let node = made(net, Source::Slot(slot), "Sub")?;
    let x = net.live(*node.inputs.first()?)?;
    let mean = made(net, *node.inputs.get(1)?, "ReduceMean")?;
    (is_mean(net, mean) && net.live(*mean.inputs.first()?)? == x).then_some(x)
}

/// Over the innermost axis, which stays.
fn is_mean(net: &Net, node: &Node) -> bool {
    axes(net, node).is_some_and(|axes| {
        let rank = node.inputs.first().and_then(|&x| net.live(x)).map_or(0, |x| net.rank(x)) as i64;
        (axes == [-1] || axes == [rank - 1]) && node.flag("keepdims", true).unwrap_or(false)
    })
}

/// The axes of a reduction, an attribute or an input.
pub fn axes(net: &Net, node: &Node) -> Option<Vec<i64>> {
    match (node.integers("axes").ok()?, node.inputs.get(1)) {
        (Some(axes), _) => Some(axes.to_vec()),
        (None, Some(&source)) => net.integers(source),
        (None, None) => None,
    }
}

fn made<'a>(net: &Net<'a>, source: Source, name: &str) -> Option<&'a Node> {
    net.maker(net.live(source)?).filter(|node| node.operator.name == name)
}

/// The inner node, and the vector that is added or multiplied.
fn with_vector<'a>(net: &Net<'a>, node: &Node, width: usize) -> Option<(&'a Node, Vec<f32>)> {
    let [one, other] = node.inputs[..] else { return None };
    let pair =
        |live: Source, constant: Source| Some((net.inner_maker(net.live(live)?)?, vector(net, constant, width)?));
    pair(one, other).or_else(|| pair(other, one))
}

fn with_number(net: &Net, node: &Node) -> Option<(Source, f64)> {
    let [one, other] = node.inputs[..] else { return None };
    let pair = |live: Source, constant: Source| net.live(live).and(net.number(constant)).map(|number| (live, number));
    pair(one, other).or_else(|| pair(other, one))
}
