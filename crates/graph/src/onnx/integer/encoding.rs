//! How each float value of an ordered graph is held as integers, decided from what calibration saw.
//!
//! Values near the inputs are i16 in units of a power of two, so that floats enter exactly; hidden values are 12 bits
//! wide; what feeds a table is its index; outputs are i32 in units of a power of two, so that floats leave exactly.

use crate::evaluate::{Fault, trace};
use crate::graph::{Checked, Node, Source};
use crate::onnx::error::CompileError;
use crate::ops::{dequantise, quantise, softmax};
use crate::tensor::{Element, Tensor};

/// A float is `integer · unit`; integers lie from `low` to `high`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Encoding {
    pub element: Element,
    pub unit: f64,
    pub low: i64,
    pub high: i64,
}

/// What calibration saw of a value.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    low: f64,
    high: f64,
}

/// One entry for each input and node of the ordered graph.
pub struct PerValue<T> {
    pub inputs: Vec<T>,
    pub nodes: Vec<T>,
}

/// Entries of a table of a curve: the index runs from -2048 to 2047.
pub const INDEX_LOW: i64 = -2048;
pub const INDEX_HIGH: i64 = 2047;
/// Table indices cover what calibration saw of a curve's argument, and a quarter more.
const INDEX_MARGIN: f64 = 1.25;
/// Hidden values reach half as far again as calibration saw before they saturate.
const HIDDEN_MARGIN: f64 = 1.5;
/// Most bits after the point of what enters and leaves.
const FRACTION_MAX: i64 = 16;
/// Bounds of a clip are believed as a range up to here; beyond, calibration says more.
const CLIP_MAX: f64 = 32_768.0;

impl<T> PerValue<T> {
    pub fn get(&self, source: Source) -> Option<&T> {
        match source {
            Source::Input(index) => self.inputs.get(index),
            Source::Node(index) => self.nodes.get(index),
            Source::Constant(_) => None,
        }
    }

    fn get_mut(&mut self, source: Source) -> Option<&mut T> {
        match source {
            Source::Input(index) => self.inputs.get_mut(index),
            Source::Node(index) => self.nodes.get_mut(index),
            Source::Constant(_) => None,
        }
    }
}

impl Range {
    const NOTHING: Self = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };

    pub fn symmetric(magnitude: f64) -> Self {
        Self { low: -magnitude, high: magnitude }
    }

    fn with(self, value: f64) -> Self {
        Self { low: self.low.min(value), high: self.high.max(value) }
    }

    fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The greatest absolute value; never 0, so that it can be divided by.
    fn magnitude(self) -> f64 {
        let most = self.low.abs().max(self.high.abs());
        if most > 0.0 && most.is_finite() { most } else { 1.0 }
    }

    fn of(tensor: &Tensor) -> Self {
        let values = tensor.floats().unwrap_or(&[]);
        values.iter().fold(Self::NOTHING, |range, &value| range.with(value.into()))
    }
}

/// Runs the ordered graph on every calibration input and keeps least and greatest of each value.
pub fn ranges(ordered: &Checked, calibration: &[Vec<Tensor>]) -> Result<PerValue<Range>, CompileError> {
    if calibration.is_empty() {
        return Err(CompileError::NoCalibration);
    }
    let graph = ordered.graph();
    let mut ranges =
        PerValue { inputs: vec![Range::NOTHING; graph.inputs.len()], nodes: vec![Range::NOTHING; graph.nodes.len()] };
    for inputs in calibration {
        let values = trace(ordered, inputs).map_err(|cause: Fault| CompileError::Calibration { cause })?;
        for (range, tensor) in ranges.inputs.iter_mut().zip(inputs) {
            *range = range.union(Range::of(tensor));
        }
        for (range, tensor) in ranges.nodes.iter_mut().zip(&values) {
            *range = range.union(Range::of(tensor));
        }
    }
    widen_near_inputs(ordered, &mut ranges);
    Ok(ranges)
}

/// Clips say what their values can be better than calibration does, and so do copies of clipped values.
fn widen_near_inputs(ordered: &Checked, ranges: &mut PerValue<Range>) {
    let near = near_inputs(ordered);
    for (index, node) in ordered.graph().nodes.iter().enumerate() {
        let seen = |source: &Source| ranges.get(*source).copied();
        let range = match node.operator.name {
            "clip_f32" => clip_bounds(node).filter(|bounds| bounds.magnitude() <= CLIP_MAX),
            "concat" if is_near(&near, Source::Node(index)) => node.inputs.iter().filter_map(seen).reduce(Range::union),
            "reshape" if is_near(&near, Source::Node(index)) => node.inputs.first().and_then(seen),
            "multiply_f32" if is_near(&near, Source::Node(index)) => product(ordered, node, ranges),
            _ => None,
        };
        if let (Some(range), Some(slot)) = (range, ranges.nodes.get_mut(index)) {
            *slot = slot.union(range);
        }
    }
}

/// Every product of the ends of both operands' ranges.
fn product(ordered: &Checked, node: &Node, ranges: &PerValue<Range>) -> Option<Range> {
    let operand = |index: usize| {
        let source = *node.inputs.get(index)?;
        let constant = ordered.fact(source).and_then(|fact| fact.constant);
        constant.map(|tensor| Range::of(&tensor)).or_else(|| ranges.get(source).copied())
    };
    let (left, right) = (operand(0)?, operand(1)?);
    let ends = [left.low * right.low, left.low * right.high, left.high * right.low, left.high * right.high];
    Some(ends.into_iter().fold(Range::NOTHING, Range::with))
}

fn clip_bounds(node: &Node) -> Option<Range> {
    let bound = |name| node.attributes.float(name).ok().map(f64::from);
    Some(Range { low: bound("low")?, high: bound("high")? })
}

/// For each node, whether it is made of inputs and constants without a sum over many or a curve.
fn near_inputs(ordered: &Checked) -> Vec<bool> {
    let mut near: Vec<bool> = Vec::new();
    for node in &ordered.graph().nodes {
        let copies =
            matches!(node.operator.name, "add_f32" | "clip_f32" | "concat" | "multiply_f32" | "relu_f32" | "reshape");
        let is_near = copies && node.inputs.iter().all(|&source| is_near(&near, source));
        near.push(is_near);
    }
    near
}

fn is_near(near: &[bool], source: Source) -> bool {
    match source {
        Source::Input(_) | Source::Constant(_) => true,
        Source::Node(index) => near.get(index).copied().unwrap_or(false),
    }
}

/// Which nodes use a value.
#[derive(Clone, Copy, PartialEq)]
enum Users {
    None,
    One(usize),
    /// Several nodes, or a node and the caller.
    Several,
}

fn users(ordered: &Checked) -> PerValue<Users> {
    let graph = ordered.graph();
    let mut users =
        PerValue { inputs: vec![Users::None; graph.inputs.len()], nodes: vec![Users::None; graph.nodes.len()] };
    for (index, node) in graph.nodes.iter().enumerate() {
        for &source in &node.inputs {
            if let Some(slot) = users.get_mut(source) {
                *slot = if *slot == Users::None { Users::One(index) } else { Users::Several };
            }
        }
    }
    for output in &graph.outputs {
        if let Some(slot) = users.get_mut(output.source).filter(|slot| **slot != Users::None) {
            *slot = Users::Several;
        }
    }
    users
}

struct Planner<'a> {
    ordered: &'a Checked,
    ranges: &'a PerValue<Range>,
    near: Vec<bool>,
    users: PerValue<Users>,
    plan: PerValue<Encoding>,
}

/// The encoding of every input and node, users before what they use.
pub fn plan(ordered: &Checked, ranges: &PerValue<Range>) -> PerValue<Encoding> {
    let graph = ordered.graph();
    let unset = Encoding { element: Element::I8, unit: 1.0, low: -127, high: 127 };
    let plan = PerValue { inputs: vec![unset; graph.inputs.len()], nodes: vec![unset; graph.nodes.len()] };
    let mut planner = Planner { ordered, ranges, near: near_inputs(ordered), users: users(ordered), plan };
    let inputs = (0..graph.inputs.len()).map(Source::Input);
    for source in (0..graph.nodes.len()).rev().map(Source::Node).chain(inputs) {
        let encoding = planner.choose(source);
        if let Some(slot) = planner.plan.get_mut(source) {
            *slot = encoding;
        }
    }
    planner.plan
}

impl Planner<'_> {
    fn node(&self, source: Source) -> Option<&Node> {
        if let Source::Node(index) = source { self.ordered.graph().nodes.get(index) } else { None }
    }

    fn choose(&self, source: Source) -> Encoding {
        let node = self.node(source);
        if node.is_some_and(|node| node.operator.name == "softmax_f32") {
            let unit = 1.0 / f64::from(1_u32 << softmax::FRACTION);
            return Encoding { element: Element::I16, unit, low: 0, high: 1 << softmax::FRACTION };
        }
        let range = self.ranges.get(source).copied().unwrap_or(Range::NOTHING);
        let encoding = match self.users.get(source) {
            None | Some(Users::None) => wide(range),
            Some(Users::One(index)) => self.wanted(source, *index, range),
            Some(Users::Several) => self.own(source, range),
        };
        clamped(encoding, node)
    }

    /// What the only user of a value would like best.
    fn wanted(&self, source: Source, user: usize, range: Range) -> Encoding {
        let name = self.node(Source::Node(user)).map_or("", |user| user.operator.name);
        match name {
            "relu_f32" | "clip_f32" | "concat" | "reshape" => {
                self.plan.get(Source::Node(user)).copied().unwrap_or_else(|| self.own(source, range))
            }
            "exp_f32" | "sigmoid_f32" | "tanh_f32" => table_index(range),
            "softmax_f32" => near(range),
            _ => self.own(source, range),
        }
    }

    fn own(&self, source: Source, range: Range) -> Encoding {
        if is_near(&self.near, source) { near(range) } else { narrow(range) }
    }
}

/// A rectifier's or a clip's own limits, in units of the encoding.
fn clamped(encoding: Encoding, node: Option<&Node>) -> Encoding {
    let limits = node.and_then(|node| match node.operator.name {
        "relu_f32" => Some((0, encoding.high)),
        "clip_f32" => clip_bounds(node).map(|bounds| (rounded(bounds.low, encoding), rounded(bounds.high, encoding))),
        _ => None,
    });
    let (low, high) = limits.unwrap_or((encoding.low, encoding.high));
    Encoding { low: low.max(encoding.low), high: high.min(encoding.high).max(low), ..encoding }
}

/// The integer nearest to a float, within the encoding.
pub fn rounded(value: f64, encoding: Encoding) -> i64 {
    let integer = (value / encoding.unit).round_ties_even();
    if integer > encoding.low as f64 {
        if integer < encoding.high as f64 { integer as i64 } else { encoding.high }
    } else {
        encoding.low
    }
}

/// What leaves: as many bits after the point as a float's integers allow.
pub fn wide(range: Range) -> Encoding {
    let high = (dequantise::MAGNITUDE_MAX / 2).cast_signed();
    Encoding { element: Element::I32, unit: unit_below(range.magnitude(), high as f64), low: -high, high }
}

/// What is near an input, or feeds a softmax.
pub fn near(range: Range) -> Encoding {
    Encoding { element: Element::I16, unit: unit_below(range.magnitude(), 32_767.0), low: -32_767, high: 32_767 }
}

/// The index into a table of a curve.
pub fn table_index(range: Range) -> Encoding {
    let unit = unit_below(range.magnitude() * INDEX_MARGIN, INDEX_HIGH as f64);
    Encoding { element: Element::I16, unit, low: INDEX_LOW, high: INDEX_HIGH }
}

/// A hidden value: 12 bits, so that a proof needs no table of more than 2^12 entries for it.
fn narrow(range: Range) -> Encoding {
    let (low, high) = if range.low >= 0.0 { (0, 4095) } else { (-2047, 2047) };
    Encoding { element: Element::I16, unit: range.magnitude() * HIDDEN_MARGIN / high as f64, low, high }
}

/// The smallest power of two, from 2^-16 up, of which `most` units reach `magnitude`.
fn unit_below(magnitude: f64, most: f64) -> f64 {
    let mut fraction = FRACTION_MAX;
    while fraction > -FRACTION_MAX && magnitude > most / crate::ops::quantise::power_of_two(fraction) {
        fraction -= 1;
    }
    crate::ops::quantise::power_of_two(-fraction)
}

/// `n` where the unit is `2^-n`; `None` for other units.
pub fn fraction(encoding: Encoding) -> Option<i64> {
    (-quantise::FRACTION_MAX..=quantise::FRACTION_MAX)
        .find(|&fraction| crate::ops::quantise::power_of_two(-fraction) == encoding.unit)
}
