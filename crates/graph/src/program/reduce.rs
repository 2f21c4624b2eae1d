//! Reductions: one value for all places along some axes, taken in row-major order.

use super::array::{Array, count};
use super::element::{Element, Family};
use super::index::{self, strides, walk};
use super::machine::Context;
use super::machine::Node;
use super::machine::{Inputs, Outcome};
use super::problem::Problem;
use super::real::{Real, precision};

/// What a reduction makes of the values that fall together.
pub struct Reduction {
    pub single: fn(&mut dyn Iterator<Item = f32>, usize) -> f32,
    pub double: fn(&mut dyn Iterator<Item = f64>, usize) -> f64,
    pub whole: fn(&mut dyn Iterator<Item = i128>, usize, Element) -> i128,
}

/// Which places of a tensor fall together: the first of each group, and how far the others lie from it.
pub struct Groups {
    pub shape: Vec<usize>,
    pub bases: Vec<usize>,
    pub offsets: Vec<usize>,
}

/// The axes as an attribute, or as an input where the operator has one; none means all, or with
/// `noop_with_empty_axes` none.
pub fn axes(node: &Node, inputs: &Inputs, rank: usize) -> Result<Vec<usize>, Problem> {
    let stated = match inputs.integers_or_none(1)? {
        Some(axes) => axes,
        None => node.integers("axes")?.unwrap_or_default().to_vec(),
    };
    match stated.is_empty() {
        true if node.flag("noop_with_empty_axes", false)? => Ok(Vec::new()),
        true => Ok((0..rank).collect()),
        false => index::axes(&stated, rank),
    }
}

/// Groups along `axes`, which keep a size of 1 where they are kept.
pub fn groups(x: &Array, axes: &[usize], keep: bool, context: &mut Context) -> Result<Groups, Problem> {
    let steps = strides(x.shape());
    let (mut shape, mut kept, mut reduced) = (Vec::new(), (Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for (axis, (&size, &step)) in x.shape().iter().zip(&steps).enumerate() {
        let side = if axes.contains(&axis) { &mut reduced } else { &mut kept };
        side.0.push(size);
        side.1.push(step);
        match axes.contains(&axis) {
            false => shape.push(size),
            true if keep => shape.push(1),
            true => {}
        }
    }
    let places = count(&shape).unwrap_or(usize::MAX).saturating_add(count(&reduced.0).unwrap_or(usize::MAX));
    context.bytes((places as u64).saturating_mul(8))?;
    context.spend(x.len() as u64)?;
    Ok(Groups { shape, bases: walk(&kept.0, &kept.1), offsets: walk(&reduced.0, &reduced.1) })
}

pub fn reduce(node: &Node, inputs: &Inputs, context: &mut Context, by: &Reduction) -> Outcome {
    let x = inputs.tensor(0)?;
    let axes = axes(node, inputs, x.rank())?;
    let groups = groups(x, &axes, node.flag("keepdims", true)?, context)?;
    let (element, size) = (x.element(), groups.offsets.len());
    context.room(&groups.shape, element)?;
    let (crew, count, work) = (context.crew(), groups.bases.len(), size.saturating_mul(2));
    // A group may be as large as the whole input, so that it is watched itself.
    let places = |group: usize| {
        let base = groups.bases[group];
        crew.watched(groups.offsets.iter().map(move |offset| base + offset), 2)
    };
    let reduced = match element.family() {
        Family::Real32 => {
            let values = f32::read(x).ok_or(Problem::Excluded)?;
            let one = |group| (by.single)(&mut places(group).map(|at| values[at]), size);
            f32::write(element, &groups.shape, crew.fill(count, work, 0.0, one))
        }
        Family::Real64 => {
            let values = f64::read(x).ok_or(Problem::Excluded)?;
            let one = |group| (by.double)(&mut places(group).map(|at| values[at]), size);
            f64::write(element, &groups.shape, crew.fill(count, work, 0.0, one))
        }
        Family::Whole | Family::Bool => {
            let values = x.integers().ok_or(Problem::Excluded)?;
            let one = |group| (by.whole)(&mut places(group).map(|at| values[at]), size, element);
            let reduced = crew.fill(count, work, 0, one);
            match element {
                Element::Bool => Array::bools(&groups.shape, reduced.into_iter().map(|value| value != 0).collect()),
                _ => Array::wholes(element, &groups.shape, reduced.into_iter()),
            }
        }
        Family::Text | Family::Complex | Family::Tiny => return Err(inputs.element(0, "numbers")),
    };
    Ok(vec![reduced?.into()])
}

/// The index of the first value that is `better` than all before it, or the last that no other is better than.
pub fn choose(node: &Node, inputs: &Inputs, context: &mut Context, better: fn(std::cmp::Ordering) -> bool) -> Outcome {
    let x = inputs.tensor(0)?;
    let axis = index::axis(node.integer("axis", 0)?, x.rank())?;
    let last = node.flag("select_last_index", false)?;
    let groups = groups(x, &[axis], node.flag("keepdims", true)?, context)?;
    if groups.offsets.is_empty() {
        return Err(Problem::shape(0, "a size above 0 along the axis", x.shape()));
    }
    context.room(&groups.shape, Element::I64)?;
    let found: Vec<i64> = precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        // A NaN is better than all else, so that it is seen.
        let order = |a: T, b: T| a.partial_cmp(&b).unwrap_or_else(|| if a.is_nan() && !b.is_nan() { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Equal });
        pick(&groups, context, last, |one, other| better(order(values[one], values[other])))
    }, else => {
        let values = x.integers().ok_or_else(|| inputs.element(0, "numbers"))?;
        pick(&groups, context, last, |one, other| better(values[one].cmp(&values[other])))
    });
    Ok(vec![Array::i64s(&groups.shape, found)?.into()])
}

/// In each group the index that no other is better than: the first such, or the last.
fn pick(groups: &Groups, context: &Context, last: bool, better: impl Fn(usize, usize) -> bool + Sync) -> Vec<i64> {
    let crew = context.crew();
    let of_group = |group: usize| {
        let (base, mut best) = (groups.bases[group], 0);
        for (place, &offset) in crew.watched(groups.offsets.iter().enumerate().skip(1), 4) {
            let held = base + groups.offsets[best];
            if better(base + offset, held) || last && !better(held, base + offset) {
                best = place;
            }
        }
        best as i64
    };
    crew.fill(groups.bases.len(), groups.offsets.len().saturating_mul(4), 0, of_group)
}
