//! Recurrent cells as integers: the steps of a sequence of known length are written out, one after the other.
//!
//! A state has 16 bits or as many as its sums allow, gates are tables over an index of 15 bits, a cell has 18. Sequences are held
//! with the batch outermost, whatever their order in the file, so that a row is a whole sequence.

mod cells;
mod gates;

use super::super::error::CompileError;
use super::emit::{Emitter, Held, name, refuse};
use crate::graph::Source;
use crate::onnx::integer::encoding::Encoding;
use crate::program::{Node, Source as From};
use crate::shape::{Dimension, Shape};
use crate::tensor::Element;
use crate::{Attributes, ops};

use cells::{Gru, Lstm, Rnn};
use gates::Cell;

/// Most steps that are written out.
const STEPS_MAX: usize = 1024;
/// Most tensors of one `concat`.
const JOINED_MAX: usize = 64;

pub fn gru(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    run::<Gru>(emitter, node)
}

pub fn lstm(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    run::<Lstm>(emitter, node)
}

pub fn rnn(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    run::<Rnn>(emitter, node)
}

/// Whether a node is a recurrent cell.
pub fn is_cell(node: &Node) -> bool {
    node.operator.domain.is_empty() && matches!(node.operator.name, "GRU" | "LSTM" | "RNN")
}

/// All sizes; `batch` may be the rows.
#[derive(Clone, Copy)]
struct Sizes {
    batch: Dimension,
    steps: usize,
    inputs: usize,
    hidden: usize,
    directions: usize,
    batch_first: bool,
}

/// A state of each step of one direction, `[batch, hidden]`, in the order of the sequence; and the last ones.
struct Course {
    states: Vec<Held>,
    last: Vec<Held>,
}

fn run<C: Cell>(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let sizes = sizes::<C>(emitter, node)?;
    check(emitter, node, &sizes)?;
    let x = sequence(emitter, node, &sizes)?;
    let mut all = Vec::new();
    for direction in 0..sizes.directions {
        all.push(gates::Gates::read::<C>(emitter, node, &sizes, direction)?);
    }
    // All directions hold their states in the same units, the coarsest that one of them needs.
    let limit = all.iter().map(|gates| gates.state.high).min().unwrap_or(1);
    let mut courses = Vec::new();
    for (direction, gates) in all.iter_mut().enumerate() {
        gates.state = symmetric(Element::I16, 1.0 / limit as f64, limit);
        courses.push(course::<C>(emitter, node, &sizes, &x, (direction, &*gates))?);
    }
    outputs(emitter, node, &sizes, &courses)
}

fn sizes<C: Cell>(emitter: &Emitter, node: &Node) -> Result<Sizes, CompileError> {
    let shape = |index: usize| {
        let &source = node.inputs.get(index)?;
        emitter.net.live(source).map(|slot| emitter.net.shape(slot).0)
    };
    let batch_first = node.flag("layout", false).unwrap_or(false);
    let refused = || refuse(node, "reads no sequence of a known length and width");
    let [first, second, Dimension::Fixed(inputs)] = shape(0).ok_or_else(refused)?[..] else { return Err(refused()) };
    let (batch, steps) = if batch_first { (first, second) } else { (second, first) };
    let Dimension::Fixed(steps) = steps else {
        return Err(refuse(node, "runs along the rows: expected a sequence of a known length"));
    };
    if steps == 0 || steps > STEPS_MAX {
        return Err(refuse(node, format!("has {steps} steps, expected 1 to {STEPS_MAX}")));
    }
    let (recurrent, _) = constant(emitter, node, 2)?;
    let [directions, gates, hidden] = recurrent[..] else { return Err(refused()) };
    if gates != C::GATES * hidden {
        return Err(refuse(node, format!("has {gates} gates of {hidden}, expected {}", C::GATES)));
    }
    Ok(Sizes { batch, steps, inputs, hidden, directions, batch_first })
}

/// Shape and values of a constant input.
fn constant(emitter: &Emitter, node: &Node, index: usize) -> Result<(Vec<usize>, Vec<f32>), CompileError> {
    let found = node.inputs.get(index).and_then(|&source| emitter.net.floats(source));
    found.ok_or_else(|| refuse(node, format!("has no constant floats as input {index}")))
}

fn given(node: &Node, index: usize) -> Option<From> {
    node.inputs.get(index).copied().filter(|source| *source != From::Nothing)
}

fn check(emitter: &Emitter, node: &Node, sizes: &Sizes) -> Result<(), CompileError> {
    if let Some(source) = given(node, 4) {
        let lengths = emitter.net.integers(source).unwrap_or_default();
        if lengths.is_empty() || lengths.iter().any(|&length| length != sizes.steps as i64) {
            return Err(refuse(node, "has sequences of other lengths than the whole"));
        }
    }
    if given(node, 7).is_some() {
        return Err(refuse(node, "has peepholes, which have no integer form"));
    }
    Ok(())
}

/// The sequence as `[batch, steps, inputs]`.
fn sequence(emitter: &mut Emitter, node: &Node, sizes: &Sizes) -> Result<Held, CompileError> {
    let slot = node.inputs.first().and_then(|&source| emitter.net.live(source));
    let slot = slot.ok_or_else(|| refuse(node, "reads a constant sequence"))?;
    let (held, is_inner) = emitter.either(node, slot)?;
    let name = name(node);
    let held = emitter.plain(&name, held);
    if sizes.batch_first || is_inner {
        return Ok(held);
    }
    Ok(emitter.turn(&format!("{name}/batch first"), &held, &[1, 0, 2]))
}

fn course<C: Cell>(
    emitter: &mut Emitter,
    node: &Node,
    sizes: &Sizes,
    x: &Held,
    (direction, gates): (usize, &gates::Gates),
) -> Result<Course, CompileError> {
    let name = format!("{}/{direction}", name(node));
    let of_input = gates.of_input(emitter, node, &name, x)?;
    let starts: Result<Vec<Option<Held>>, CompileError> =
        (0..C::STATES).map(|state| start(emitter, node, sizes, (direction, state), gates)).collect();
    let mut last = starts?;
    let backward = direction == 1 || node.text("direction", "forward").unwrap_or("") == "reverse";
    let mut states = Vec::new();
    for step in 0..sizes.steps {
        let at = if backward { sizes.steps - 1 - step } else { step };
        let name = format!("{name}/{at}");
        let attributes = Attributes::new().with("axis", 1).with("start", at as i64).with("step", 1).with("count", 1);
        let source = emitter.add(&format!("{name}/of input"), &ops::slice::OPERATOR, attributes, &[of_input.source]);
        let width = C::GATES * sizes.hidden;
        let one = Held {
            source,
            shape: Shape(vec![sizes.batch, Dimension::Fixed(1), Dimension::Fixed(width)]),
            ..of_input.clone()
        };
        let one = emitter.reshape(&format!("{name}/flat"), &one, &Shape(vec![sizes.batch, Dimension::Fixed(width)]));
        let next = C::step(emitter, gates, &name, &one, &last);
        states.push(next[0].clone());
        last = next.into_iter().map(Some).collect();
    }
    if backward {
        states.reverse();
    }
    Ok(Course { states, last: last.into_iter().flatten().collect() })
}

/// A state that the sequence begins with; `None` where it is 0.
fn start(
    emitter: &mut Emitter,
    node: &Node,
    sizes: &Sizes,
    (direction, state): (usize, usize),
    gates: &gates::Gates,
) -> Result<Option<Held>, CompileError> {
    let Some(source) = given(node, 5 + state) else { return Ok(None) };
    let Some(slot) = emitter.net.live(source) else {
        let (_, values) = constant(emitter, node, 5 + state)?;
        let zero = values.iter().all(|&value| value == 0.0);
        return if zero { Ok(None) } else { Err(refuse(node, "begins with constants other than 0")) };
    };
    let (held, is_inner) = emitter.either(node, slot)?;
    let name = format!("{}/{direction}/start {state}", name(node));
    let held = emitter.plain(&name, held);
    let held =
        if sizes.batch_first || is_inner { held } else { emitter.turn(&format!("{name}/turned"), &held, &[1, 0, 2]) };
    let attributes = Attributes::new().with("axis", 1).with("start", direction as i64).with("step", 1).with("count", 1);
    let source = emitter.add(&format!("{name}/one"), &ops::slice::OPERATOR, attributes, &[held.source]);
    let hidden = Dimension::Fixed(sizes.hidden);
    let one = Held { source, shape: Shape(vec![sizes.batch, Dimension::Fixed(1), hidden]), ..held };
    let flat = emitter.reshape(&format!("{name}/flat"), &one, &Shape(vec![sizes.batch, hidden]));
    let target = if state == 0 { gates.state } else { cells::CELL };
    Ok(Some(emitter.requantise(&format!("{name}/units"), &flat, target)))
}

/// Y, the last states, and the last cells.
fn outputs(emitter: &mut Emitter, node: &Node, sizes: &Sizes, courses: &[Course]) -> Result<(), CompileError> {
    let name = name(node);
    let slot = |index: usize| node.outputs.get(index).copied().flatten();
    let one = Dimension::Fixed(1);
    if let Some(slot) = slot(0) {
        let mut all = Vec::new();
        for (direction, course) in courses.iter().enumerate() {
            let name = format!("{name}/{direction}");
            let shape = Shape(vec![sizes.batch, one, one, Dimension::Fixed(sizes.hidden)]);
            let step = |(at, state): (usize, &Held)| emitter.reshape(&format!("{name}/{at}/state"), state, &shape);
            let states: Vec<Held> = course.states.iter().enumerate().map(step).collect();
            all.push(joined(emitter, &format!("{name}/states"), 1, states));
        }
        let held = joined(emitter, &format!("{name}/all states"), 2, all);
        // `[batch, steps, directions, hidden]`; where the batch is no rows, the file may have it elsewhere.
        keep(emitter, node, slot, sizes, held, &[1, 2, 0, 3])?;
    }
    for (state, word) in [(0, "last state"), (1, "last cell")] {
        let Some(slot) = slot(state + 1) else { continue };
        let shape = Shape(vec![sizes.batch, one, Dimension::Fixed(sizes.hidden)]);
        let mut all = Vec::new();
        for (direction, course) in courses.iter().enumerate() {
            let last = course.last.get(state).ok_or_else(|| refuse(node, "has an output that its cell does not"))?;
            all.push(emitter.reshape(&format!("{name}/{direction}/{word}"), last, &shape));
        }
        let held = joined(emitter, &format!("{name}/{word}s"), 1, all);
        keep(emitter, node, slot, sizes, held, &[1, 0, 2])?;
    }
    Ok(())
}

/// Keeps what is held with the batch outermost; `axes` brings it to the order that the file has, where the batch is a size.
fn keep(
    emitter: &mut Emitter,
    node: &Node,
    slot: u32,
    sizes: &Sizes,
    held: Held,
    axes: &[usize],
) -> Result<(), CompileError> {
    if sizes.batch_first {
        return emitter.keep(node, slot, held);
    }
    if sizes.batch == Dimension::Rows {
        return emitter.keep_either(node, slot, held);
    }
    let name = format!("{}/in file order of {slot}", name(node));
    let held = emitter.turn(&name, &held, axes);
    emitter.keep(node, slot, held)
}

/// Tensors one after the other along an axis.
fn joined(emitter: &mut Emitter, name: &str, axis: usize, mut parts: Vec<Held>) -> Held {
    let mut level = 0;
    while parts.len() > 1 {
        let mut fewer = Vec::new();
        for (number, chunk) in parts.chunks(JOINED_MAX).enumerate() {
            let sources: Vec<Source> = chunk.iter().map(|part| part.source).collect();
            let attributes = Attributes::new().with("axis", axis as i64);
            let source = emitter.add(&format!("{name}/{level}/{number}"), &ops::concat::OPERATOR, attributes, &sources);
            let size = |part: &Held| if let Some(Dimension::Fixed(size)) = part.shape.0.get(axis) { *size } else { 0 };
            let mut shape = chunk[0].shape.clone();
            shape.0[axis] = Dimension::Fixed(chunk.iter().map(size).sum());
            fewer.push(Held { source, shape, ..chunk[0].clone() });
        }
        parts = fewer;
        level += 1;
    }
    parts.remove(0)
}

/// Integers from -most to most.
const fn symmetric(element: Element, unit: f64, most: i64) -> Encoding {
    Encoding { element, unit, low: -most, high: most }
}
