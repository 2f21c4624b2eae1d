//! Where the features of trees come from.
//!
//! What stands between an input and a tree mostly moves features or scales each by itself. Such a column is compared where it
//! enters: the greatest input for which the comparison holds is found by bisection over all inputs in their order, with the
//! file's own arithmetic. So no float that enters is rounded, and every comparison has the outcome that it has in floats.

use super::super::emit::{Emitter, Held, name, refuse};
use super::super::net::{Net, output};
use crate::graph::Source;
use crate::onnx::error::CompileError;
use crate::onnx::integer::encoding::Encoding;
use crate::ops::order;
use crate::program::{Node, Source as From, features};
use crate::shape::{Dimension, Shape};
use crate::tensor::Element;
use crate::{Attributes, ops};

/// A feature: a column of a root, and what is made of it.
#[derive(Clone, Debug)]
pub struct Column {
    pub root: u32,
    place: usize,
    steps: Vec<Step>,
    /// What a missing value has become, where an `Imputer` replaced it.
    imputed: Option<f32>,
}

/// `(x - offset) · scale`, in binary32.
#[derive(Clone, Copy, Debug)]
struct Step {
    offset: f32,
    scale: f32,
}

impl Column {
    /// Whether its order is that of its root turned round: by an odd number of scales below 0.
    fn is_turned(&self) -> bool {
        self.steps.iter().filter(|step| step.scale < 0.0).count() % 2 == 1
    }
}

impl Step {
    fn of(self, x: f32) -> f32 {
        (x - self.offset) * self.scale
    }
}

/// Most nodes between a tree and what enters.
const DEPTH_MAX: usize = 64;

/// The slots that the features of a node come from: inputs where possible, else what is computed.
pub fn roots(net: &Net, node: &Node) -> Vec<u32> {
    let mut roots: Vec<u32> = features_of(net, node).iter().map(|column| column.root).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn features_of(net: &Net, node: &Node) -> Vec<Column> {
    node.inputs.first().and_then(|&source| net.live(source)).map_or(Vec::new(), |slot| trace(net, slot, 0))
}

/// The columns of a value of rank 2.
fn trace(net: &Net, slot: u32, depth: usize) -> Vec<Column> {
    let own = || {
        let width = net.shape(slot).width().unwrap_or(0);
        (0..width).map(|place| Column { root: slot, place, steps: Vec::new(), imputed: None }).collect()
    };
    let through = net.maker(slot).filter(|_| depth < DEPTH_MAX && net.rank(slot) == 2);
    through.and_then(|node| pass(net, node, slot, depth + 1)).unwrap_or_else(own)
}

/// The columns behind a node; `None` where it does more than to move or scale them.
fn pass(net: &Net, node: &Node, slot: u32, depth: usize) -> Option<Vec<Column>> {
    let inner = |index: usize| {
        let slot = net.live(*node.inputs.get(index)?)?;
        (net.rank(slot) == 2).then(|| trace(net, slot, depth))
    };
    let width = net.shape(slot).width()?;
    let columns = match node.operator.name {
        "Identity" | "Dropout" => inner(0)?,
        // To floats: whatever integers become is computed by `Root::at`.
        "Cast" if node.integer("to", 1).ok()? == 1 => inner(0)?,
        "Concat" if matches!(node.integer("axis", 1).ok()?, 1 | -1) => {
            let parts: Option<Vec<Vec<Column>>> = (0..node.inputs.len()).map(inner).collect();
            parts?.concat()
        }
        "ArrayFeatureExtractor" => picked(inner(0)?, net, *node.inputs.get(1)?)?,
        "Gather" if matches!(node.integer("axis", 0).ok()?, 1 | -1) => picked(inner(0)?, net, *node.inputs.get(1)?)?,
        "Imputer" if node.float("replaced_value_float", 0.0).ok()?.is_nan() => {
            let values = features::each_or_one(node, "imputed_value_floats", width, f32::NAN).ok()?;
            let mut columns = inner(0)?;
            for (column, value) in columns.iter_mut().zip(values) {
                column.imputed.get_or_insert(value);
            }
            columns
        }
        "Scaler" => {
            let each = |name, default| features::each_or_one(node, name, width, default).ok();
            let (offsets, scales) = (each("offset", 0.0)?, each("scale", 1.0)?);
            let mut columns = inner(0)?;
            for ((column, &offset), &scale) in columns.iter_mut().zip(&offsets).zip(&scales) {
                let step = Step { offset, scale };
                column.steps.push(step);
                column.imputed = column.imputed.map(|value| step.of(value));
            }
            columns
        }
        _ => return None,
    };
    (columns.len() == width).then_some(columns)
}

/// Those at constant places.
fn picked(columns: Vec<Column>, net: &Net, places: From) -> Option<Vec<Column>> {
    let at = |place: i64| {
        let place = if place < 0 { place + columns.len() as i64 } else { place };
        columns.get(usize::try_from(place).ok()?).cloned()
    };
    net.integers(places)?.into_iter().map(at).collect()
}

/// How the integers of a root stand for floats.
#[derive(Clone, Copy)]
enum Root {
    /// Their places in the order of all floats.
    Places,
    /// Multiples of a unit.
    Units { unit: f64, low: i64, high: i64 },
}

impl Root {
    fn ends(self) -> (i64, i64) {
        match self {
            Self::Places => (order::place(f32::MIN).into(), order::place(f32::MAX).into()),
            Self::Units { low, high, .. } => (low, high),
        }
    }

    fn at(self, integer: i64) -> f32 {
        match self {
            Self::Places => order::at(integer as i32),
            Self::Units { unit, .. } => (integer as f64 * unit) as f32,
        }
    }
}

/// All features as one tensor of integers, and what each of its columns stands for.
pub struct Columns {
    pub source: Source,
    columns: Vec<(usize, Root, Column)>,
}

/// Where a walk goes on: `x[column] ≤ value`, or, turned round, not so.
pub struct Comparison {
    pub column: usize,
    pub value: i64,
    pub turned: bool,
}

pub fn columns(emitter: &mut Emitter, node: &Node) -> Result<Columns, CompileError> {
    let features = features_of(emitter.net, node);
    let (mut sources, mut starts, mut width) = (Vec::new(), std::collections::BTreeMap::new(), 0);
    for root in roots(emitter.net, node) {
        let (source, kind, own) = enter(emitter, node, root)?;
        sources.push(source);
        starts.insert(root, (width, kind));
        width += own;
    }
    let source = match sources[..] {
        [source] => source,
        [] => return Err(refuse(node, "has no features that depend on the inputs")),
        _ => {
            let attributes = Attributes::new().with("axis", 1);
            emitter.add(&format!("{}/features", name(node)), &ops::concat::OPERATOR, attributes, &sources)
        }
    };
    let placed = features.into_iter().filter_map(|column| {
        let (start, root) = *starts.get(&column.root)?;
        Some((start + column.place, root, column))
    });
    Ok(Columns { source, columns: placed.collect() })
}

/// A root as i32, and its width.
fn enter(emitter: &mut Emitter, node: &Node, slot: u32) -> Result<(Source, Root, usize), CompileError> {
    let shape = emitter.net.shape(slot);
    let [_, Dimension::Fixed(width)] = shape.0[..] else {
        return Err(refuse(node, format!("reads features of shape {shape}, expected rows of a fixed number")));
    };
    if let Some(source) = emitter.places(slot) {
        return Ok((source, Root::Places, width));
    }
    let held = emitter.need(node, slot)?;
    let held = emitter.plain(&name(node), held);
    let encoding = held.encoding;
    let root = Root::Units { unit: encoding.unit, low: encoding.low, high: encoding.high };
    if encoding.low < i64::from(i32::MIN) || encoding.high > i64::from(i32::MAX) {
        return Err(refuse(node, "reads integers of more than 32 bits"));
    }
    let held = widened(emitter, &format!("{}/features of {slot}", name(node)), &held);
    Ok((held.source, root, width))
}

/// The same integers as i32.
pub fn widened(emitter: &mut Emitter, name: &str, held: &Held) -> Held {
    let encoding = held.encoding;
    if encoding.element == Element::I32 {
        return held.clone();
    }
    emitter.requantise(name, held, Encoding { element: Element::I32, ..encoding })
}

impl Columns {
    /// Which comparison of integers holds exactly where `holds` does, a condition that once it fails, fails for all greater numbers.
    pub fn compare(&self, feature: u32, holds: impl Fn(f64) -> bool) -> Option<Comparison> {
        let (column, root, made) = self.columns.get(feature as usize)?;
        // A scale below 0 turns the order of what is compared round.
        let turned = made.is_turned();
        let made = |integer: i64| made.steps.iter().fold(root.at(integer), |x, step| step.of(x));
        let (low, high) = root.ends();
        // The greatest integer for which it holds; where the order is turned round, the greatest for which it does not.
        let (mut below, mut above) = (low - 1, high + 1);
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if holds(made(middle).into()) != turned { below = middle } else { above = middle }
        }
        Some(Comparison { column: *column, value: below.clamp(i32::MIN.into(), i32::MAX.into()), turned })
    }
}

/// What a missing value is to a feature.
#[derive(Clone, Copy)]
pub enum Missing {
    /// None enters.
    Never,
    /// It is still missing where the trees compare it.
    Nan,
    /// It was replaced on the way.
    Replaced(f32),
}

impl Columns {
    /// The column of a feature, what a missing value is there, and whether comparisons of it are turned round.
    pub fn missing(&self, feature: u32) -> Option<(usize, Missing, bool)> {
        let (column, root, made) = self.columns.get(feature as usize)?;
        let missing = match (root, made.imputed) {
            (Root::Units { .. }, _) => Missing::Never,
            (Root::Places, Some(value)) if !value.is_nan() => Missing::Replaced(value),
            (Root::Places, _) => Missing::Nan,
        };
        Some((*column, missing, made.is_turned()))
    }
}

/// The slot of a node's first output.
pub fn result(node: &Node) -> Result<u32, CompileError> {
    output(node).ok_or_else(|| refuse(node, "makes nothing that is read"))
}

/// `[rows, width]`.
pub fn rows(emitter: &Emitter, slot: u32, width: usize) -> Shape {
    let mut shape = emitter.net.shape(slot);
    if let Some(last) = shape.0.last_mut() {
        *last = Dimension::Fixed(width);
    }
    shape
}
