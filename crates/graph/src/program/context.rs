//! What a run carries along: the frame of values, the accounts that bound it, and who computes.

use super::array::count;
use super::element::Element;
use super::node::{Body, Node, Program, Source};
use super::operator::{Inputs, Meaning, Operator};
use super::problem::{Problem, ProgramFault};
use super::value::Value;

/// Most sizes of a value.
pub const RANK_MAX: usize = 16;

/// What one call may use. The accounts are exact, so a refusal is as reproducible as a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of values that live at once.
    pub bytes: u64,
    /// Multiplications, comparisons and copies, as the operators count them.
    pub operations: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 34, operations: 1 << 40 }
    }
}

/// Who watches a run: told each node's outputs, in the order in which nodes run.
pub type Watch<'run> = &'run mut (dyn FnMut(&Node, &[Value]) + 'run);

pub struct Context<'run> {
    program: &'run Program,
    frame: Vec<Option<Value>>,
    limits: Limits,
    live: u64,
    /// Bytes that the running node asked for.
    pending: u64,
    operations: u64,
    pick: fn(&'static Operator) -> Meaning,
    watch: Option<Watch<'run>>,
}

impl<'run> Context<'run> {
    pub(super) fn new(
        program: &'run Program,
        limits: Limits,
        pick: fn(&'static Operator) -> Meaning,
        watch: Option<Watch<'run>>,
    ) -> Self {
        let frame = vec![None; program.slots as usize];
        Self { program, frame, limits, live: 0, pending: 0, operations: 0, pick, watch }
    }

    /// Asks for a value of this shape before it is made; gives the number of its elements.
    pub fn room(&mut self, shape: &[usize], element: Element) -> Result<usize, Problem> {
        if shape.len() > RANK_MAX {
            return Err(Problem::Rank { found: shape.len(), limit: RANK_MAX });
        }
        let elements = count(shape).ok_or(Problem::Memory { limit: self.limits.bytes })?;
        self.bytes((elements as u64).saturating_mul(element.bytes() as u64))?;
        self.spend(elements as u64)?;
        Ok(elements)
    }

    /// Asks for bytes that the running node needs besides.
    pub fn bytes(&mut self, bytes: u64) -> Result<(), Problem> {
        self.pending = self.pending.saturating_add(bytes);
        match self.live.saturating_add(self.pending) <= self.limits.bytes {
            true => Ok(()),
            false => Err(Problem::Memory { limit: self.limits.bytes }),
        }
    }

    /// Asks for operations before they are done.
    pub fn spend(&mut self, operations: u64) -> Result<(), Problem> {
        self.operations = self.operations.saturating_add(operations);
        match self.operations <= self.limits.operations {
            true => Ok(()),
            false => Err(Problem::Operations { limit: self.limits.operations }),
        }
    }

    /// The constant that an attribute of a node names.
    pub fn constant(&self, index: u32) -> Result<Value, Problem> {
        self.program.constants.get(index as usize).map(|array| Value::Tensor(array.clone())).ok_or(Problem::Excluded)
    }

    /// Runs what a control-flow operator holds.
    pub fn run_body(&mut self, body: &Body, inputs: Vec<Value>) -> Result<Vec<Value>, Problem> {
        if inputs.len() != body.inputs.len() {
            let expected = body.inputs.len().to_string();
            return Err(Problem::value("the number of a body's inputs", expected, inputs.len()));
        }
        // What the outer node asked for so far lives while the body runs.
        let held = std::mem::take(&mut self.pending);
        self.live = self.live.saturating_add(held);
        for (&slot, value) in body.inputs.iter().zip(inputs) {
            self.set(slot, value);
        }
        let ran = self.run_nodes(body).map_err(|fault| Problem::Inside(Box::new(fault)));
        let outputs = ran.and_then(|()| {
            body.outputs.iter().map(|&source| self.get(source).ok_or(Problem::Excluded)).collect::<Result<Vec<_>, _>>()
        });
        let made = body.nodes.iter().flat_map(|node| node.outputs.iter().flatten());
        body.inputs.iter().chain(made).for_each(|&slot| self.clear(slot));
        self.live = self.live.saturating_sub(held);
        let outputs = outputs?;
        self.pending = held.saturating_add(outputs.iter().map(Value::weight).sum());
        self.bytes(0)?;
        Ok(outputs)
    }

    pub(super) fn run_nodes(&mut self, body: &Body) -> Result<(), ProgramFault> {
        for (index, node) in body.nodes.iter().enumerate() {
            self.step(node).map_err(|problem| ProgramFault::Node {
                name: node.name.clone(),
                operator: node.operator.name,
                problem,
            })?;
            for &slot in body.release.get(index).into_iter().flatten() {
                self.clear(slot);
            }
        }
        Ok(())
    }

    fn step(&mut self, node: &Node) -> Result<(), Problem> {
        let inputs = Inputs(node.inputs.iter().map(|&source| self.get(source)).collect());
        self.pending = 0;
        self.spend(1)?;
        let outputs = (self.pick)(node.operator)(node, &inputs, self)?;
        self.pending = 0;
        if let Some(watch) = self.watch.as_mut() {
            watch(node, &outputs);
        }
        let mut outputs = outputs.into_iter();
        for slot in &node.outputs {
            match (slot, outputs.next()) {
                (Some(slot), Some(value)) => self.set(*slot, value),
                (Some(_), None) => return Err(Problem::Unsupported { what: "an output that the node names" }),
                (None, _) => {}
            }
        }
        self.bytes(0)
    }

    pub(super) fn get(&self, source: Source) -> Option<Value> {
        match source {
            Source::Nothing => None,
            Source::Constant(index) => self.program.constants.get(index as usize).cloned().map(Value::Tensor),
            Source::Slot(slot) => self.frame.get(slot as usize).cloned().flatten(),
        }
    }

    pub(super) fn set(&mut self, slot: u32, value: Value) {
        self.clear(slot);
        if let Some(place) = self.frame.get_mut(slot as usize) {
            self.live = self.live.saturating_add(value.weight());
            *place = Some(value);
        }
    }

    fn clear(&mut self, slot: u32) {
        if let Some(value) = self.frame.get_mut(slot as usize).and_then(Option::take) {
            self.live = self.live.saturating_sub(value.weight());
        }
    }
}
