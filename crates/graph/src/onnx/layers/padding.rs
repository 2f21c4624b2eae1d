//! What a `Pad` says: how many places stand in front of and behind each axis, and what stands there.

use super::net::{Net, output};
use crate::program::{Node, Source, index, ops};

pub struct Padding {
    pub mode: ops::Padding,
    /// In front of each axis of the file, and behind it; below 0, so many are cut.
    pub ends: Vec<(i64, i64)>,
    /// What stands there, where a constant does.
    pub value: f64,
}

/// `None` where it is computed, or its constant is not finite.
pub fn find(net: &Net, node: &Node, x: u32) -> Option<Padding> {
    let rank = net.rank(x);
    let stated = |input: usize| node.inputs.get(input).copied().filter(|source| *source != Source::Nothing);
    let pads = match stated(1) {
        Some(source) => net.integers(source)?,
        None => node.integers("pads").ok()??.to_vec(),
    };
    let axes = match stated(3) {
        Some(source) => net.integers(source)?,
        None => (0..rank as i64).collect(),
    };
    let (before, behind) = pads.split_at_checked(axes.len()).filter(|(_, behind)| behind.len() == axes.len())?;
    let mut ends = vec![(0, 0); rank];
    for ((&axis, &before), &behind) in axes.iter().zip(before).zip(behind) {
        *ends.get_mut(index::axis(axis, rank).ok()?)? = (before, behind);
    }
    let value = match stated(2) {
        Some(source) => net.number(source)?,
        None => node.float("value", 0.0).ok()?.into(),
    };
    let mode = ops::Padding::named(node.text("mode", "constant").ok()?).ok()?;
    value.is_finite().then_some(Padding { mode, ends, value })
}

/// The image inside of a slot that only puts zeros around it, for one reader alone, and how many: in front of each axis behind the
/// channels, then behind each.
pub fn zeros_around(net: &Net, slot: u32) -> Option<(u32, Vec<usize>)> {
    let node = net.inner_maker(slot).filter(|node| node.operator.name == "Pad" && output(node) == Some(slot))?;
    let x = net.live(*node.inputs.first()?)?;
    let padding = find(net, node, x)?;
    let (others, around) = padding.ends.split_at_checked(2)?;
    if padding.mode != ops::Padding::Constant || padding.value != 0.0 || others.iter().any(|ends| *ends != (0, 0)) {
        return None;
    }
    let all = around.iter().map(|ends| ends.0).chain(around.iter().map(|ends| ends.1));
    Some((x, all.map(usize::try_from).collect::<Result<_, _>>().ok()?))
}
