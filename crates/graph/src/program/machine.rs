//! Programs as data, the operators that their nodes name, and the run that carries them: three things that are made of
//! each other.
//!
//! Every value that nodes make has one number in the whole program, subgraphs included, so that a run keeps one frame and
//! a subgraph reads what surrounds it by the same numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::array::{Array, count};
use super::crew::Crew;
pub use super::derived::Derived;
use super::element::Element;
use super::older;
use super::problem::{Problem, ProgramFault};
use super::value::{Type, Value};

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
    Texts(Vec<Arc<str>>),
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
    pub derived: Derived,
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
    /// Whether it was written for an operator set in which operands do not align by themselves.
    pub fn is_older(&self) -> bool {
        let has = |name| self.operator.attributes.contains(&name);
        self.version < 7 && has("axis") && has("broadcast")
    }

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

    pub fn texts(&self, name: &'static str) -> Result<Option<&[Arc<str>]>, Problem> {
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

impl Body {
    pub fn new(inputs: Vec<u32>, nodes: Vec<Node>, outputs: Vec<Source>) -> Self {
        Self { inputs, nodes, outputs, release: Vec::new() }
    }

    /// Finds, from the last node to the first, after which node nothing reads a slot of this body any more.
    pub(super) fn derive_release(&mut self) {
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

    pub(super) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Body> {
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

/// What running a node gives: as many values as the node has outputs, or fewer where the rest are not wanted.
pub type Outcome = Result<Vec<Value>, Problem>;

/// The meaning of an operator, or a kernel with the same bits.
pub type Meaning = fn(&Node, &Inputs, &mut Context) -> Outcome;

/// What an operator refuses of a node before it runs.
pub type Check = fn(&Node, &Context) -> Result<(), Problem>;

/// One row of the table.
pub struct Operator {
    pub name: &'static str,
    /// Empty for the standard's main domain.
    pub domain: &'static str,
    /// The versions of the operator set at which the operator changed, as far as they are known here, rising.
    pub versions: &'static [u16],
    /// Fewest and most inputs.
    pub inputs: (usize, usize),
    pub outputs: (usize, usize),
    pub attributes: &'static [&'static str],
    pub run: Meaning,
}

/// As many inputs or outputs as a node may have.
pub const MANY: usize = 1 << 14;

impl std::fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Operator {
    /// The version whose meaning a file with this version of the operator set uses.
    pub fn version_in(&self, opset: i64) -> Option<u16> {
        self.versions.iter().copied().filter(|&version| i64::from(version) <= opset).max()
    }
}

/// The inputs of a node, by place.
pub struct Inputs(pub Vec<Option<Value>>);

impl Inputs {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The inputs of an older node as later operator sets take them.
    fn aligned(mut self, node: &Node) -> Result<Self, Problem> {
        let (one, other) = (self.tensor(0)?, self.tensor(1)?);
        let said = older::Said { broadcast: node.flag("broadcast", false)?, axis: node.integer_or_none("axis")? };
        let aligned = other.reshaped(&older::aligned(&said, one.shape(), other.shape())?)?;
        self.0[1] = Some(aligned.into());
        Ok(self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn value(&self, input: usize) -> Result<&Value, Problem> {
        self.value_or_none(input).ok_or(Problem::Missing { input })
    }

    pub fn value_or_none(&self, input: usize) -> Option<&Value> {
        self.0.get(input).and_then(Option::as_ref)
    }

    pub fn tensor(&self, input: usize) -> Result<&Arc<Array>, Problem> {
        let value = self.value(input)?;
        value.as_tensor().ok_or(Problem::Kind { input, expected: "a tensor", found: value.name() })
    }

    /// An optional tensor; one that is passed as an empty optional counts as left out.
    pub fn tensor_or_none(&self, input: usize) -> Result<Option<&Arc<Array>>, Problem> {
        match self.value_or_none(input) {
            None | Some(Value::Nothing) => Ok(None),
            Some(_) => self.tensor(input).map(Some),
        }
    }

    pub fn sequence(&self, input: usize) -> Result<&Arc<Vec<Value>>, Problem> {
        match self.value(input)? {
            Value::Sequence(values) => Ok(values),
            other => Err(Problem::Kind { input, expected: "a sequence", found: other.name() }),
        }
    }

    pub fn element(&self, input: usize, expected: &'static str) -> Problem {
        let found = self.tensor(input).map_or("nothing", |array| array.element().name());
        Problem::Element { input, expected, found }
    }

    /// All values of a tensor of integers, as i64; those of uint64 must fit.
    pub fn integers(&self, input: usize) -> Result<Vec<i64>, Problem> {
        let array = self.tensor(input)?;
        let values = array.integers().filter(|_| array.element() != Element::Bool);
        let values = values.ok_or_else(|| self.element(input, "integers"))?;
        values
            .into_iter()
            .map(|value| i64::try_from(value).map_err(|_| Problem::value("an integer", "64 bits", value)))
            .collect()
    }

    pub fn integers_or_none(&self, input: usize) -> Result<Option<Vec<i64>>, Problem> {
        self.tensor_or_none(input)?.map(|_| self.integers(input)).transpose()
    }

    /// The one integer of a tensor.
    pub fn integer(&self, input: usize) -> Result<i64, Problem> {
        match self.integers(input)?.as_slice() {
            [value] => Ok(*value),
            _ => Err(Problem::shape(input, "one element", self.tensor(input)?.shape())),
        }
    }

    pub fn integer_or_none(&self, input: usize) -> Result<Option<i64>, Problem> {
        self.tensor_or_none(input)?.map(|_| self.integer(input)).transpose()
    }

    pub fn bools(&self, input: usize) -> Result<&[bool], Problem> {
        self.tensor(input)?.as_bools().ok_or_else(|| self.element(input, "bool"))
    }

    /// The one truth value of a tensor.
    pub fn bool(&self, input: usize) -> Result<bool, Problem> {
        match self.bools(input)? {
            [value] => Ok(*value),
            _ => Err(Problem::shape(input, "one element", self.tensor(input)?.shape())),
        }
    }

    pub fn texts(&self, input: usize) -> Result<&[Arc<str>], Problem> {
        self.tensor(input)?.as_texts().ok_or_else(|| self.element(input, "string"))
    }

    /// The one number of a tensor, of any real or integer element, as f64.
    pub fn number(&self, input: usize) -> Result<f64, Problem> {
        let array = self.tensor(input)?;
        let one = |found: Option<f64>| found.ok_or_else(|| Problem::shape(input, "one element", array.shape()));
        if array.len() != 1 {
            return one(None);
        }
        match (array.doubles(), array.integers()) {
            (Some(values), _) => one(values.first().copied()),
            (None, Some(values)) => one(values.first().map(|&value| value as f64)),
            (None, None) => Err(self.element(input, "a number")),
        }
    }
}

/// Most sizes of a value.
pub const RANK_MAX: usize = 16;

/// What a node counts for beside its outputs' elements: looking its inputs up and giving its outputs away.
const NODE_OPERATIONS: u64 = 256;

/// What one call may use. The accounts are exact, so a refusal is as reproducible as a result; and small, since validators
/// run what anybody published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of values that live at once.
    pub bytes: u64,
    /// Multiplications, comparisons and copies, as the operators count them.
    pub operations: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 31, operations: 1 << 34 }
    }
}

/// Who watches a run: told each node's outputs, in the order in which nodes run; false ends it.
pub type Watch<'run> = &'run mut (dyn FnMut(&Node, &[Value]) -> bool + 'run);

pub struct Context<'run> {
    program: &'run Program,
    frame: Vec<Option<Value>>,
    limits: Limits,
    live: u64,
    /// Bytes that the running node asked for.
    pending: u64,
    operations: u64,
    by: By<'run>,
    watch: Option<Watch<'run>>,
}

/// Who computes.
#[derive(Clone, Copy)]
pub struct By<'run> {
    pub pick: fn(&'static Operator) -> Meaning,
    pub crew: &'run dyn Crew,
}

impl<'run> Context<'run> {
    pub(super) fn new(program: &'run Program, limits: Limits, by: By<'run>, watch: Option<Watch<'run>>) -> Self {
        let frame = vec![None; program.slots as usize];
        Self { program, frame, limits, live: 0, pending: 0, operations: 0, by, watch }
    }

    /// The hands for a node's work.
    pub fn crew(&self) -> &'run dyn Crew {
        self.by.crew
    }

    /// Asks for a value of this shape before it is made, and for what making it may take: each element's place, and its
    /// widest form. Gives the number of its elements.
    pub fn room(&mut self, shape: &[usize], element: Element) -> Result<usize, Problem> {
        if shape.len() > RANK_MAX {
            return Err(Problem::Rank { found: shape.len(), limit: RANK_MAX });
        }
        let elements = count(shape).ok_or(Problem::Memory { limit: self.limits.bytes })?;
        let wide = if element.is_widened() { 16 } else { 0 };
        self.bytes((elements as u64).saturating_mul(element.bytes() as u64 + 8 + wide))?;
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

    /// Gives back bytes that were asked for.
    pub fn release(&mut self, bytes: u64) {
        self.pending = self.pending.saturating_sub(bytes);
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
        self.spend(NODE_OPERATIONS)?;
        // A body may have no node.
        if !self.by.crew.stays() {
            return Err(Problem::Ended);
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
        self.spend(NODE_OPERATIONS)?;
        // What a body is given is only handed on.
        if !node.attributes.values().any(|attribute| matches!(attribute, Attribute::Body(_))) {
            self.bytes(inputs.0.iter().flatten().map(Value::widening).fold(0, u64::saturating_add))?;
        }
        let inputs = if node.is_older() { inputs.aligned(node)? } else { inputs };
        let outcome = (self.by.pick)(node.operator)(node, &inputs, self);
        // Whatever was made for nobody may be unfinished.
        if !self.by.crew.stays() {
            return Err(Problem::Ended);
        }
        let outputs = outcome?;
        // Before anybody reads them: texts are shared, so what a value weighs can be far more than was asked for.
        self.pending = outputs.iter().map(Value::weight).fold(0, u64::saturating_add);
        self.bytes(0)?;
        self.pending = 0;
        if !self.watch.as_mut().is_none_or(|watch| watch(node, &outputs)) {
            return Err(Problem::Ended);
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
