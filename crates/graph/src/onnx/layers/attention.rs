//! Attention as files write it: `softmax(q · kᵀ · factor + mask) · v`, the factor before or behind the product or in both
//! operands, the mask added or chosen by `Where`.

use super::curve;
use super::net::{Net, output};
use crate::program::{Node, Source};
use crate::shape::Shape;

/// How an operand is read: its axes in another order.
#[derive(Clone, Debug)]
pub struct Operand {
    pub slot: u32,
    /// Nothing where they stay.
    pub axes: Option<Vec<usize>>,
}

#[derive(Clone, Debug)]
pub enum Mask {
    /// The shape, and which keys are seen.
    Constant(Vec<usize>, Vec<bool>),
    /// An input of zeros and ones under another shape; `inverted` where 0 is what is seen.
    Input { slot: u32, shape: Shape, inverted: bool },
}

#[derive(Clone, Debug)]
pub struct Attention {
    pub result: u32,
    pub query: Operand,
    pub key: Operand,
    pub value: Operand,
    /// Of the scores.
    pub factor: f64,
    pub mask: Option<Mask>,
}

/// How far below the others a masked score must lie: e^-16 is nothing in any table.
const FAR: f64 = 16.0;

pub fn find(net: &Net, node: &Node) -> Option<Attention> {
    if node.operator.name != "MatMul" {
        return None;
    }
    let [shares, values] = node.inputs[..] else { return None };
    let value = Operand { slot: net.live(values)?, axes: None };
    let softmax = softmax(net, net.live(shares)?)?;
    let (mut factor, mut mask) = (1.0, None);
    let mut cursor = net.live(*softmax.inputs.first()?)?;
    let product = loop {
        let maker = net.inner_maker(cursor)?;
        match maker.operator.name {
            "MatMul" => break maker,
            "Add" | "Where" if mask.is_none() => {
                let (scores, found) = masked(net, maker)?;
                (cursor, mask) = (scores, Some(found));
            }
            _ => {
                let (inner, number) = scaled(net, maker)?;
                (cursor, factor) = (inner, factor * number);
            }
        }
    };
    let [query, key] = product.inputs[..] else { return None };
    let (query, by) = unscaled(net, net.live(query)?);
    let (key, also) = unscaled(net, net.live(key)?);
    factor *= by * also;
    Some(Attention {
        result: output(node)?,
        query: Operand { slot: query, axes: None },
        key: turned(net, key)?,
        value,
        factor: Some(factor).filter(|factor| *factor > 0.0 && factor.is_finite())?,
        mask,
    })
}

/// The softmax over the innermost axis behind a value, through nodes that change nothing.
fn softmax<'a>(net: &Net<'a>, mut slot: u32) -> Option<&'a Node> {
    loop {
        let node = net.maker(slot)?;
        match node.operator.name {
            "Softmax" => {
                let default = if node.version < 13 { 1 } else { -1 };
                let axis = node.integer("axis", default).ok()?;
                return (axis == -1 || axis + 1 == net.rank(slot) as i64).then_some(node);
            }
            "Identity" | "Dropout" | "Cast" => slot = net.live(*node.inputs.first()?)?,
            // What is no number, where a softmax sees nothing at all, becomes 0: here nothing is seen as everything.
            "Where" => {
                let test = net.maker(net.live(*node.inputs.first()?)?)?;
                let kept = net.live(*node.inputs.get(2)?)?;
                let tests = test.operator.name == "IsNaN" && net.live(*test.inputs.first()?)? == kept;
                slot = tests.then_some(kept)?;
            }
            _ => return None,
        }
    }
}

/// The scores and the mask of a node that joins them.
fn masked(net: &Net, node: &Node) -> Option<(u32, Mask)> {
    match (node.operator.name, &node.inputs[..]) {
        ("Add", &[one, other]) => {
            let pair = |scores: Source, mask: Source| Some((net.live(scores)?, additive(net, mask)?));
            pair(one, other).or_else(|| pair(other, one))
        }
        ("Where", &[test, one, other]) => {
            let far = |source: Source| {
                net.number(source).is_some_and(|number| number < -FAR)
                    || net
                        .constant(source)
                        .and_then(|array| array.doubles()?.first().copied())
                        .is_some_and(|number| number < -FAR)
            };
            let (scores, seen_at) = if far(one) {
                (other, 0)
            } else if far(other) {
                (one, 1)
            } else {
                return None;
            };
            Some((net.live(scores)?, chosen(net, test, seen_at)?))
        }
        _ => None,
    }
}

/// A mask that is added: far below 0 where a key is not seen.
fn additive(net: &Net, source: Source) -> Option<Mask> {
    if let Some(array) = net.constant(source) {
        let values = array.doubles()?.into_owned();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let seen: Vec<bool> = values.iter().map(|value| *value > most - FAR).collect();
        let plain = values.iter().zip(&seen).all(|(value, seen)| !seen || *value == most);
        return plain.then(|| Mask::Constant(array.shape().to_vec(), seen));
    }
    let curve = curve::of_mask(net, source)?;
    let [zero, one] = curve.at_bits(net)?;
    let inverted = zero > one;
    ((zero - one).abs() > FAR).then(|| Mask::Input { slot: curve.root, shape: narrow(net, source), inverted })
}

/// A mask that chooses: a key is seen where the test gives `seen_at`.
fn chosen(net: &Net, source: Source, seen_at: usize) -> Option<Mask> {
    if let Some(array) = net.constant(source) {
        let seen = array.as_bools()?.iter().map(|&bit| usize::from(bit) == seen_at).collect();
        return Some(Mask::Constant(array.shape().to_vec(), seen));
    }
    let curve = curve::of_mask(net, source)?;
    let [zero, one] = curve.at_bits(net)?;
    let inverted = (zero == seen_at as f64) && zero != one;
    (zero != one).then(|| Mask::Input { slot: curve.root, shape: narrow(net, source), inverted })
}

/// The shape of a mask before what repeats it.
fn narrow(net: &Net, source: Source) -> Shape {
    let mut slot = net.live(source).unwrap_or(0);
    let mut shape = net.shape(slot);
    while let Some(node) = net.maker(slot) {
        let Some(inner) = net.reads(node).first().copied() else { break };
        if node.operator.name == "Expand" {
            shape = net.shape(inner);
        } else if net.shape(inner) != net.shape(slot) {
            break;
        }
        slot = inner;
    }
    shape
}

/// What a node multiplies by a number, and the number.
fn scaled(net: &Net, node: &Node) -> Option<(u32, f64)> {
    let (first, second) = (*node.inputs.first()?, node.inputs.get(1).copied().unwrap_or(Source::Nothing));
    match node.operator.name {
        "Mul" => match (net.live(first), net.live(second)) {
            (Some(slot), None) => Some((slot, net.number(second)?)),
            (None, Some(slot)) => Some((slot, net.number(first)?)),
            _ => None,
        },
        "Div" => Some((net.live(first)?, 1.0 / net.number(second)?)),
        "Identity" | "Cast" => Some((net.live(first)?, 1.0)),
        _ => None,
    }
}

/// The operand before it was multiplied, and by what.
fn unscaled(net: &Net, mut slot: u32) -> (u32, f64) {
    let mut factor = 1.0;
    while let Some((inner, number)) = net.inner_maker(slot).and_then(|node| scaled(net, node)) {
        (slot, factor) = (inner, factor * number);
    }
    (slot, factor)
}

/// A matrix that enters a product turned, as its rows: of the value in front of the turn where a node made one.
fn turned(net: &Net, slot: u32) -> Option<Operand> {
    let rank = net.rank(slot);
    let mut axes: Vec<usize> = (0..rank).collect();
    let mut from = slot;
    if let Some(node) = net.inner_maker(slot).filter(|node| node.operator.name == "Transpose") {
        axes = order(node, rank)?;
        from = net.live(*node.inputs.first()?)?;
    }
    axes.swap(rank.checked_sub(1)?, rank.checked_sub(2)?);
    let stays = axes.iter().enumerate().all(|(place, axis)| place == *axis);
    Some(Operand { slot: from, axes: (!stays).then_some(axes) })
}

/// The order of axes that a `Transpose` asks for.
pub fn order(node: &Node, rank: usize) -> Option<Vec<usize>> {
    match node.integers("perm").ok()? {
        None => Some((0..rank).rev().collect()),
        Some(axes) => axes.iter().map(|&axis| usize::try_from(axis).ok().filter(|axis| *axis < rank)).collect(),
    }
}
