//! Programs as data: nodes in an order in which each can run, over numbered values.
//!
//! Every value that nodes make has one number in the whole program, subgraphs included, so that a run keeps one frame and
//! a subgraph reads what surrounds it by the same numbers.

use std::{collections::BTreeMap, sync::Arc};

use super::array::Array;
use super::operator::Operator;
use super::problem::Problem;
use super::value::Type;

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// An optional input that is left out.
    Nothing,
    Constant(u32),
    Slot(u32),
}

/// A named input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    pub name: String,
    pub kind: Type,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Float(f32),
    Integer(i64),
    Text(String),
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    Texts(Vec<String>),
    /// Index of a constant.
    Constant(u32),
    Body(Body),
    /// A declared type, where an operator has one.
    Kind(Type),
}

#[derive(Clone, Debug)]
pub struct Node {
    /// For whoever reads a refusal.
    pub name: String,
    pub operator: &'static Operator,
    /// The version of the operator set at which the operator got the meaning that the file uses.
    pub version: u16,
    pub attributes: BTreeMap<String, Attribute>,
    pub inputs: Vec<Source>,
    /// Slots; `None` where nothing reads the output.
    pub outputs: Vec<Option<u32>>,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        (self.name == other.name && std::ptr::eq(self.operator, other.operator) && self.version == other.version)
            && (self.attributes == other.attributes && self.inputs == other.inputs && self.outputs == other.outputs)
    }
}

/// Nodes with their own inputs and outputs: the whole program, or what a control-flow operator runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Slots of the inputs.
    pub inputs: Vec<u32>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Source>,
    /// For each node, the slots that nothing after it reads; derived, not part of the encoding.
    pub(crate) release: Vec<Vec<u32>>,
}

/// A whole model: what `Program::check` has accepted is fit to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub constants: Vec<Arc<Array>>,
    pub body: Body,
    /// How many slots the whole program numbers.
    pub slots: u32,
}

impl Node {
    pub fn integer(&self, name: &'static str, default: i64) -> Result<i64, Problem> {
        self.integer_or_none(name).map(|found| found.unwrap_or(default))
    }

    pub fn integer_or_none(&self, name: &'static str) -> Result<Option<i64>, Problem> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Integer(value)) => Ok(Some(*value)),
            Some(_) => Err(Problem::Attribute { name, expected: "an integer" }),
        }
    }

    /// An integer attribute that says yes (not 0) or no.
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool, Problem> {
        Ok(self.integer(name, default.into())? != 0)
    }

    pub fn float(&self, name: &'static str, default: f32) -> Result<f32, Problem> {
        self.float_or_none(name).map(|found| found.unwrap_or(default))
    }

    pub fn float_or_none(&self, name: &'static str) -> Result<Option<f32>, Problem> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(Problem::Attribute { name, expected: "a float" }),
        }
    }

    pub fn text(&self, name: &'static str, default: &'static str) -> Result<&str, Problem> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => Ok(value),
            Some(_) => Err(Problem::Attribute { name, expected: "a text" }),
        }
    }

    pub fn integers(&self, name: &'static str) -> Result<Option<&[i64]>, Problem> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Integers(values)) => Ok(Some(values)),
            Some(_) => Err(Problem::Attribute { name, expected: "a list of integers" }),
        }
    }

    pub fn floats(&self, name: &'static str) -> Result<Option<&[f32]>, Problem> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            Some(_) => Err(Problem::Attribute { name, expected: "a list of floats" }),
        }
    }

    pub fn texts(&self, name: &'static str) -> Result<Option<&[String]>, Problem> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Texts(values)) => Ok(Some(values)),
            Some(_) => Err(Problem::Attribute { name, expected: "a list of texts" }),
        }
    }

    pub fn body(&self, name: &'static str) -> Result<&Body, Problem> {
        match self.attributes.get(name) {
            Some(Attribute::Body(body)) => Ok(body),
            Some(_) | None => Err(Problem::Attribute { name, expected: "a graph" }),
        }
    }

    /// Whether something reads the output at `index`.
    pub fn wants(&self, index: usize) -> bool {
        self.outputs.get(index).is_some_and(Option::is_some)
    }
}

impl Program {
    /// The same program with what each body may forget after each node: fit to run.
    pub fn released(mut self) -> Self {
        self.body.derive_release();
        self
    }
}

impl Body {
    pub fn new(inputs: Vec<u32>, nodes: Vec<Node>, outputs: Vec<Source>) -> Self {
        Self { inputs, nodes, outputs, release: Vec::new() }
    }

    /// Finds, from the last node to the first, after which node nothing reads a slot of this body any more.
    fn derive_release(&mut self) {
        let mut own: Vec<u32> = self.inputs.clone();
        own.extend(self.nodes.iter().flat_map(|node| node.outputs.iter().flatten()));
        own.sort_unstable();
        let mut read_later: std::collections::BTreeSet<u32> = self.outputs.iter().filter_map(slot_of).collect();
        let mut release = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.iter_mut().rev() {
            let mut now = Vec::new();
            for slot in node.reads().into_iter().chain(node.outputs.iter().flatten().copied()) {
                if own.binary_search(&slot).is_ok() && read_later.insert(slot) {
                    now.push(slot);
                }
            }
            release.push(now);
            node.bodies_mut().for_each(Self::derive_release);
        }
        release.reverse();
        self.release = release;
    }
}

impl Node {
    /// All slots that the node reads, those in its bodies included.
    fn reads(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.inputs.iter().filter_map(slot_of).collect();
        for attribute in self.attributes.values() {
            if let Attribute::Body(body) = attribute {
                slots.extend(body.outputs.iter().filter_map(slot_of));
                slots.extend(body.nodes.iter().flat_map(Self::reads));
            }
        }
        slots
    }

    fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Body> {
        self.attributes.values_mut().filter_map(|attribute| match attribute {
            Attribute::Body(body) => Some(body),
            _ => None,
        })
    }
}

fn slot_of(source: &Source) -> Option<u32> {
    match source {
        Source::Slot(slot) => Some(*slot),
        Source::Nothing | Source::Constant(_) => None,
    }
}
