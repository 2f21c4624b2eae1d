//! What calibration runs say about a program: the shape and range of every value, which depend on the caller's data, and
//! what the others are.
//!
//! A value is *live* where it depends on the data of an input, and not only on its shape. Values that are not live are
//! constants of the specialised program, whatever nodes computed them. One size may stay free, that of the rows: it is found
//! by running the first calibration set a second time with every row doubled.

use std::sync::Arc;

use super::super::error::CompileError;
use crate::program::{Array, Context, Inputs, Limits, Meaning, Node, Program, Source, Type, Value};
use crate::program::{machine::Operator, problem::ProgramFault, value::Size};
use crate::shape::{Dimension, Shape};
use crate::tensor::{self, Tensor};

/// What is known of a value of the program.
#[derive(Clone, Debug)]
pub struct Seen {
    pub shape: Shape,
    pub low: f64,
    pub high: f64,
    /// What it is, where it is not live.
    pub constant: Option<Arc<Array>>,
}

/// A program with what its runs showed.
pub struct Net<'a> {
    pub program: &'a Program,
    seen: Vec<Option<Seen>>,
    live: Vec<bool>,
    /// The node that makes each slot.
    makers: Vec<Option<usize>>,
    /// The nodes that read each slot; once for each reading.
    users: Vec<Vec<usize>>,
    outputs: Vec<bool>,
}

/// The domain of classical models.
pub const CLASSICAL: &str = "ai.onnx.ml";

/// Who computes the calibration runs: the meanings, or kernels with the same bits.
pub type Pick = fn(&'static Operator) -> Meaning;

impl<'a> Net<'a> {
    pub fn observe(program: &'a Program, calibration: &[Vec<Tensor>], pick: Pick) -> Result<Self, CompileError> {
        let Some(first) = calibration.first() else { return Err(CompileError::NoCalibration) };
        let slots = program.slots as usize;
        let mut net = Self {
            program,
            seen: vec![None; slots],
            live: live(program),
            makers: vec![None; slots],
            users: vec![Vec::new(); slots],
            outputs: vec![false; slots],
        };
        net.find_users();
        for set in calibration {
            let inputs = net.inputs(set, 1)?;
            net.run(inputs, pick, false)?;
        }
        if program.inputs.iter().any(|port| has_rows(&port.kind)) {
            let doubled = net.inputs(first, 2)?;
            net.run(doubled, pick, true)?;
        }
        Ok(net)
    }

    fn find_users(&mut self) {
        for (index, node) in self.program.body.nodes.iter().enumerate() {
            for &slot in node.outputs.iter().flatten() {
                self.makers[slot as usize] = Some(index);
            }
            for source in &node.inputs {
                if let Source::Slot(slot) = *source {
                    self.users[slot as usize].push(index);
                }
            }
        }
        for source in &self.program.body.outputs {
            if let Source::Slot(slot) = *source {
                self.outputs[slot as usize] = true;
            }
        }
    }

    /// A calibration set as values, each row so many times.
    fn inputs(&self, set: &[Tensor], times: usize) -> Result<Vec<Value>, CompileError> {
        let ports = &self.program.inputs;
        if ports.len() != set.len() {
            let cause = ProgramFault::Inputs { expected: ports.len(), found: set.len() };
            return Err(CompileError::CalibrationRun { cause });
        }
        let each = ports.iter().zip(set).map(|(port, tensor)| {
            let wrong = || ProgramFault::Input {
                name: port.name.clone(),
                expected: port.kind.to_string(),
                found: format!("tensor({}) {:?}", tensor.element(), tensor.shape()),
            };
            let times = if has_rows(&port.kind) { times } else { 1 };
            let mut shape = tensor.shape().to_vec();
            if let Some(rows) = shape.first_mut() {
                *rows *= times;
            }
            let element = wide_element(tensor.element());
            let bytes = tensor.to_bytes().repeat(times);
            let array = element.and_then(|element| Array::from_bytes(element, &shape, &bytes));
            array.map(Value::from).ok_or_else(wrong)
        });
        each.collect::<Result<_, _>>().map_err(|cause| CompileError::CalibrationRun { cause })
    }

    fn run(&mut self, inputs: Vec<Value>, pick: Pick, doubled: bool) -> Result<(), CompileError> {
        let mut told: Vec<(u32, Value)> = self.program.body.inputs.iter().copied().zip(inputs.clone()).collect();
        let mut watch = |node: &Node, outputs: &[Value]| {
            told.extend(
                node.outputs.iter().zip(outputs).filter_map(|(slot, value)| slot.map(|slot| (slot, value.clone()))),
            );
            true
        };
        let outcome = self.program.run_with(inputs, Limits::default(), pick, Some(&mut watch));
        outcome.map_err(|cause| CompileError::CalibrationRun { cause })?;
        for (slot, value) in told {
            let Value::Tensor(array) = value else { continue };
            let live = self.live[slot as usize];
            let place = &mut self.seen[slot as usize];
            match place {
                None => *place = Some(Seen::of(&array, live)),
                Some(seen) if doubled => seen.double(&array),
                Some(seen) => seen.join(&array),
            }
        }
        Ok(())
    }

    pub fn nodes(&self) -> &'a [Node] {
        &self.program.body.nodes
    }

    /// Whether the program has classical operators: its integers are features then, no indices.
    pub fn is_classical(&self) -> bool {
        self.nodes().iter().any(|node| node.operator.domain == CLASSICAL)
    }

    pub fn seen(&self, slot: u32) -> Option<&Seen> {
        self.seen.get(slot as usize)?.as_ref()
    }

    pub fn is_output(&self, slot: u32) -> bool {
        self.outputs.get(slot as usize).copied().unwrap_or(false)
    }

    pub fn users(&self, slot: u32) -> &[usize] {
        self.users.get(slot as usize).map_or(&[], Vec::as_slice)
    }

    /// The slot of a source that depends on the caller's data.
    pub fn live(&self, source: Source) -> Option<u32> {
        match source {
            Source::Slot(slot) if self.live.get(slot as usize).copied().unwrap_or(false) => Some(slot),
            _ => None,
        }
    }

    pub fn is_live(&self, node: &Node) -> bool {
        node.outputs.iter().flatten().any(|&slot| self.live(Source::Slot(slot)).is_some())
    }

    /// The live slots that a node reads.
    pub fn reads(&self, node: &Node) -> Vec<u32> {
        node.inputs.iter().filter_map(|&source| self.live(source)).collect()
    }

    pub fn maker(&self, slot: u32) -> Option<&'a Node> {
        self.nodes().get(self.maker_index(slot)?)
    }

    /// The number of the node that makes a slot.
    pub fn maker_index(&self, slot: u32) -> Option<usize> {
        self.makers.get(slot as usize).copied().flatten()
    }

    /// The node that makes a slot which one node alone reads, and not the caller.
    pub fn inner_maker(&self, slot: u32) -> Option<&'a Node> {
        let alone = self.users(slot).len() == 1 && !self.is_output(slot);
        if alone { self.maker(slot) } else { None }
    }

    pub fn constant(&self, source: Source) -> Option<Arc<Array>> {
        match source {
            Source::Nothing => None,
            Source::Constant(index) => self.program.constants.get(index as usize).cloned(),
            Source::Slot(slot) => self.seen(slot)?.constant.clone(),
        }
    }

    /// Sizes and values of a constant of floats.
    pub fn floats(&self, source: Source) -> Option<(Vec<usize>, Vec<f32>)> {
        let array = self.constant(source)?;
        let values = array.floats()?.into_owned();
        values.iter().all(|value| value.is_finite()).then(|| (array.shape().to_vec(), values))
    }

    /// The one number of a constant.
    pub fn number(&self, source: Source) -> Option<f64> {
        let array = self.constant(source)?;
        let one = || array.doubles()?.first().copied();
        if array.len() != 1 {
            return None;
        }
        one().or_else(|| array.integers()?.first().map(|&value| value as f64))
    }

    pub fn integers(&self, source: Source) -> Option<Vec<i64>> {
        let values = self.constant(source)?.integers()?;
        values.into_iter().map(|value| i64::try_from(value).ok()).collect()
    }

    pub fn rank(&self, slot: u32) -> usize {
        self.seen(slot).map_or(0, |seen| seen.shape.rank())
    }

    pub fn shape(&self, slot: u32) -> Shape {
        self.seen(slot).map_or(Shape(Vec::new()), |seen| seen.shape.clone())
    }
}

/// How a node is named in refusals.
pub fn describe(node: &Node) -> String {
    format!("{:?} ({})", node.name, node.operator.name)
}

/// Operators that only move or repeat numbers, which a mask may pass.
pub const MOVES: &[&str] = &["Expand", "Reshape", "Squeeze", "Unsqueeze"];

/// The one input and the one output of a node that pass data on.
pub fn through(node: &Node) -> Option<(Source, u32)> {
    Some((node.inputs.first().copied()?, output(node)?))
}

pub fn output(node: &Node) -> Option<u32> {
    node.outputs.first().copied().flatten()
}

fn has_rows(kind: &Type) -> bool {
    match kind {
        Type::Tensor { shape: Some(sizes), .. } => matches!(sizes.first(), Some(Size::Free(_))),
        _ => false,
    }
}

/// Which slots depend on the data of inputs. What a node says of shapes alone does not.
pub fn live(program: &Program) -> Vec<bool> {
    let mut live = vec![false; program.slots as usize];
    program.body.inputs.iter().for_each(|&slot| live[slot as usize] = true);
    for node in &program.body.nodes {
        let reads = node.inputs.iter().any(|source| matches!(source, Source::Slot(slot) if live[*slot as usize]));
        let holds_bodies = node.attributes.values().any(|value| matches!(value, crate::program::Attribute::Body(_)));
        let is_live = (reads || holds_bodies) && !matches!(node.operator.name, "Shape" | "Size");
        node.outputs.iter().flatten().for_each(|&slot| live[slot as usize] = is_live);
    }
    live
}

fn wide_element(element: tensor::Element) -> Option<crate::program::Element> {
    use crate::program::Element;
    match element {
        tensor::Element::I8 => Some(Element::I8),
        tensor::Element::U8 => Some(Element::U8),
        tensor::Element::I32 => Some(Element::I32),
        tensor::Element::I64 => Some(Element::I64),
        tensor::Element::F32 => Some(Element::F32),
        tensor::Element::I16 | tensor::Element::F16 | tensor::Element::Packed(_) => None,
    }
}

impl Seen {
    fn of(array: &Arc<Array>, live: bool) -> Self {
        let shape = Shape::fixed(array.shape());
        let constant = (!live).then(|| array.clone());
        let mut seen = Self { shape, low: f64::INFINITY, high: f64::NEG_INFINITY, constant };
        seen.widen(array);
        seen
    }

    fn widen(&mut self, array: &Array) {
        if let Some(values) = array.floats() {
            for value in values.iter().copied().filter(|value| value.is_finite()).map(f64::from) {
                self.low = self.low.min(value);
                self.high = self.high.max(value);
            }
        } else if let Some(values) = array.integers() {
            for value in values {
                self.low = self.low.min(value as f64);
                self.high = self.high.max(value as f64);
            }
        }
    }

    /// Another set: sizes that differ are told by the second run, so the first set's stay.
    fn join(&mut self, array: &Array) {
        self.widen(array);
        if self.constant.as_deref().is_some_and(|constant| constant != array) {
            self.constant = None;
        }
    }

    /// The same set with every row doubled: sizes that doubled are the rows'.
    fn double(&mut self, array: &Array) {
        let sizes = self.shape.0.clone();
        if sizes.len() == array.rank() {
            for (dimension, &found) in self.shape.0.iter_mut().zip(array.shape()) {
                if *dimension != Dimension::Fixed(found) {
                    *dimension = Dimension::Rows;
                }
            }
        }
        if self.constant.as_deref().is_some_and(|constant| constant != array) {
            self.constant = None;
        }
    }
}

/// Runs some nodes of a program that compute one value from another, on other numbers.
pub fn apply(net: &Net, nodes: &[usize], root: u32, result: u32, values: Array) -> Option<Vec<f64>> {
    let program = net.program;
    let picked: Vec<Node> = nodes.iter().filter_map(|&index| net.nodes().get(index)).cloned().collect();
    // Movements change no number: what they make is what they read.
    let mut same: std::collections::BTreeMap<u32, Source> = std::collections::BTreeMap::new();
    let picked = picked.into_iter().filter_map(|mut node| {
        for source in &mut node.inputs {
            if let Source::Slot(slot) = *source {
                *source = same.get(&slot).copied().unwrap_or(*source);
            }
        }
        if MOVES.contains(&node.operator.name) {
            let (from, to) = through(&node)?;
            same.insert(to, from);
            return None;
        }
        Some(node)
    });
    let picked: Vec<Node> = picked.collect();
    let result = same.get(&result).copied().unwrap_or(Source::Slot(result));
    // What the nodes read besides is constant; it is put in as constants.
    let mut constants = program.constants.clone();
    let picked = picked.into_iter().map(|mut node| {
        for source in &mut node.inputs {
            let known = |slot: u32| net.live(Source::Slot(slot)).is_none();
            if let Source::Slot(slot) = *source
                && known(slot)
                && let Some(array) = net.constant(*source)
            {
                constants.push(array);
                *source = Source::Constant((constants.len() - 1) as u32);
            }
        }
        node
    });
    let body = crate::program::Body::new(vec![root], picked.collect(), vec![result]);
    let kind = Type::Tensor { element: values.element(), shape: None };
    let port = |name: &str| crate::program::Port { name: name.to_owned(), kind: kind.clone() };
    let (inputs, outputs) = (vec![port("x")], vec![port("y")]);
    let part = Program { inputs, outputs, constants, body, slots: program.slots }.released();
    let found = part.run(vec![Value::from(values)], Limits::default()).ok()?;
    let array = found.first()?.as_tensor()?.clone();
    let wide = array.doubles().map(std::borrow::Cow::into_owned);
    wide.or_else(|| Some(array.integers()?.into_iter().map(|value| value as f64).collect()))
}

/// The meaning of every operator, for calibration without kernels.
pub fn meanings(operator: &'static Operator) -> fn(&Node, &Inputs, &mut Context) -> crate::program::Outcome {
    operator.run
}
