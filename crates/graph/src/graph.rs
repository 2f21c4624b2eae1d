//! Nodes in an order in which each can be computed, and the check that makes a graph fit to run.
//!
//! A node may use only what stands before it: a cyclic graph cannot be written down. Only `Graph::check` makes a
//! [`Checked`], and only a checked graph is evaluated.

use std::sync::Arc;

use crate::{
    attribute::Attributes,
    derived::Derived,
    loading::Account,
    operator::{Fact, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Source {
    Input(usize),
    Constant(usize),
    Node(usize),
}

#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    pub element: Element,
    pub shape: Shape,
    /// What integers the caller may pass; others are refused before the run.
    pub interval: Interval,
}

#[derive(Clone, Debug)]
pub struct Constant {
    pub name: String,
    pub tensor: Arc<Tensor>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub operator: &'static Operator,
    pub attributes: Attributes,
    pub inputs: Vec<Source>,
}

#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub source: Source,
}

#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub inputs: Vec<Input>,
    pub constants: Vec<Constant>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Output>,
}

/// Why a graph cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphRefusal {
    #[error("node {name} ({operator}): {cause}")]
    Node {
        name: String,
        operator: &'static str,
        #[source]
        cause: Refusal,
    },
    #[error("{user} uses {source_name}, which does not stand before it")]
    NotBefore { user: String, source_name: String },
    #[error("the graph has no {what}")]
    Missing { what: &'static str },
    #[error("the graph has {found} {what}, at most {limit} are allowed")]
    TooMany { what: &'static str, found: usize, limit: usize },
    #[error("{name} has rank {rank}, at most {limit} is allowed")]
    Rank { name: String, rank: usize, limit: usize },
    #[error("{name} has shape {shape}, expected rows outermost or nowhere")]
    InnerRows { name: String, shape: Shape },
    #[error("input {name} allows integers outside of {element}")]
    InputInterval { name: String, element: Element },
    #[error("{name} is {element}, which only constants can be")]
    Packed { name: String, element: Element },
    #[error("constant {name} is filled up with something else than zeros")]
    Padding { name: String },
    #[error("constant {name} holds a float that is not finite")]
    NotFinite { name: String },
    #[error("one call could need {bytes} bytes of intermediate values, at most {limit} are allowed")]
    TooLarge { bytes: u64, limit: u64 },
}

/// Limits of a graph, so that checking one is cheap and running one fits in memory.
pub const NODES_MAX: usize = 65_536;
pub const CONSTANTS_MAX: usize = 65_536;
pub const PORTS_MAX: usize = 256;
pub const ROWS_MAX: usize = 1 << 20;
/// All intermediate values of one call with the most rows, together.
pub const INTERMEDIATE_BYTES_MAX: u64 = 1 << 36;
/// Units of work of a node that runs, for each text or call, whatever it computes.
const NODE_WORK: u64 = 1 << 16;
/// Rows of a call of a graph over texts: longer texts are run in pieces.
pub const PIECE_ROWS: usize = 1024;

/// A graph of which every node has been checked, with what is known of every node's output.
#[derive(Clone, Debug)]
pub struct Checked {
    graph: Graph,
    rows_max: usize,
    constants: Vec<Fact>,
    facts: Vec<Fact>,
    work: Work,
}

impl Graph {
    /// Adds a constant and says where it stands.
    pub fn constant(&mut self, name: impl Into<String>, tensor: Tensor) -> Source {
        self.constants.push(Constant { name: name.into(), tensor: Arc::new(tensor) });
        Source::Constant(self.constants.len().saturating_sub(1))
    }

    /// Adds a node and says where its output stands.
    pub fn node(
        &mut self,
        name: impl Into<String>,
        operator: &'static Operator,
        attributes: Attributes,
        inputs: &[Source],
    ) -> Source {
        self.nodes.push(Node { name: name.into(), operator, attributes, inputs: inputs.to_vec() });
        Source::Node(self.nodes.len().saturating_sub(1))
    }

    /// Without the nodes and constants that no output needs.
    pub fn pruned(mut self) -> Self {
        let (mut nodes, mut constants) = (vec![false; self.nodes.len()], vec![false; self.constants.len()]);
        let mark = |nodes: &mut [bool], constants: &mut [bool], source: Source| {
            let place = match source {
                Source::Input(_) => None,
                Source::Constant(index) => constants.get_mut(index),
                Source::Node(index) => nodes.get_mut(index),
            };
            place.into_iter().for_each(|place| *place = true);
        };
        self.outputs.iter().for_each(|output| mark(&mut nodes, &mut constants, output.source));
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if nodes.get(index) == Some(&true) {
                node.inputs.iter().for_each(|&source| mark(&mut nodes, &mut constants, source));
            }
        }
        // How many of those before each are kept: where it stands then.
        let places = |kept: &[bool]| {
            let mut count = 0;
            kept.iter()
                .map(|&kept| {
                    count += usize::from(kept);
                    count.saturating_sub(usize::from(kept))
                })
                .collect()
        };
        let (node_places, constant_places): (Vec<usize>, Vec<usize>) = (places(&nodes), places(&constants));
        let moved = |source: &mut Source| match source {
            Source::Input(_) => {}
            Source::Constant(index) => *index = constant_places.get(*index).copied().unwrap_or(usize::MAX),
            Source::Node(index) => *index = node_places.get(*index).copied().unwrap_or(usize::MAX),
        };
        retain(&mut self.nodes, &nodes);
        retain(&mut self.constants, &constants);
        self.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(moved);
        self.outputs.iter_mut().for_each(|output| moved(&mut output.source));
        self
    }

    /// Applies every rule of every node; a call of the checked graph has at most `rows_max` rows.
    pub fn check(self, rows_max: usize) -> Result<Checked, GraphRefusal> {
        self.check_counts(rows_max)?;
        self.check_ports()?;
        let constants = self.constants.iter().map(Constant::fact).collect();
        let bytes = self.constants.iter().map(|constant| constant.tensor.bytes() as u64);
        let account = Account::of(bytes.fold(0, u64::saturating_add));
        let mut checked = Checked { graph: self, rows_max, constants, facts: Vec::new(), work: Work::default() };
        for index in 0..checked.graph.nodes.len() {
            let (fact, work) = checked.check_node(index, &account)?;
            checked.facts.push(fact);
            checked.work = checked.work.and(work).and(Work::of_call(NODE_WORK));
        }
        for output in &checked.graph.outputs {
            let fact = checked.fact(output.source).ok_or_else(|| not_before(&output.name, output.source))?;
            if let Element::Packed(_) = fact.element {
                return Err(GraphRefusal::Packed { name: output.name.clone(), element: fact.element });
            }
        }
        checked.check_size()?;
        Ok(checked)
    }

    fn check_counts(&self, rows_max: usize) -> Result<(), GraphRefusal> {
        let counts = [
            ("nodes", self.nodes.len(), NODES_MAX),
            ("constants", self.constants.len(), CONSTANTS_MAX),
            ("inputs", self.inputs.len(), PORTS_MAX),
            ("outputs", self.outputs.len(), PORTS_MAX),
            ("rows", rows_max, ROWS_MAX),
        ];
        for (what, found, limit) in counts {
            if found > limit {
                return Err(GraphRefusal::TooMany { what, found, limit });
            }
        }
        for (what, found) in [("inputs", self.inputs.len()), ("outputs", self.outputs.len()), ("rows", rows_max)] {
            if found == 0 {
                return Err(GraphRefusal::Missing { what });
            }
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), GraphRefusal> {
        let limit = Shape::RANK_MAX;
        for input in &self.inputs {
            if input.shape.rank() > limit {
                return Err(GraphRefusal::Rank { name: input.name.clone(), rank: input.shape.rank(), limit });
            }
            if input.shape.has_inner_rows() {
                return Err(GraphRefusal::InnerRows { name: input.name.clone(), shape: input.shape.clone() });
            }
            if let Element::Packed(_) = input.element {
                return Err(GraphRefusal::Packed { name: input.name.clone(), element: input.element });
            }
            let (low, high) = (input.interval.low, input.interval.high);
            if input.element.is_integer() && (low > high || input.interval.within(input.element).is_err()) {
                return Err(GraphRefusal::InputInterval { name: input.name.clone(), element: input.element });
            }
        }
        for constant in &self.constants {
            let rank = constant.tensor.shape().len();
            if rank > limit {
                return Err(GraphRefusal::Rank { name: constant.name.clone(), rank, limit });
            }
            if !constant.tensor.is_finite() {
                return Err(GraphRefusal::NotFinite { name: constant.name.clone() });
            }
            if constant.tensor.as_packed().is_some_and(|packed| !packed.padding_is_zero()) {
                return Err(GraphRefusal::Padding { name: constant.name.clone() });
            }
        }
        Ok(())
    }
}

fn retain<T>(all: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    all.retain(|_| kept.next() == Some(&true));
}

impl Constant {
    fn fact(&self) -> Fact {
        let (low, high) = self.tensor.extremes().unwrap_or((0, 0));
        Fact {
            element: self.tensor.element(),
            shape: Shape::fixed(self.tensor.shape()),
            interval: Interval { low, high },
            constant: Some(self.tensor.clone()),
            derived: Derived::default(),
        }
    }
}

impl Checked {
    /// The graph of a model that is a program: nothing.
    pub(crate) fn empty() -> Self {
        Self { graph: Graph::default(), rows_max: 1, constants: Vec::new(), facts: Vec::new(), work: Work::default() }
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// What running it takes.
    pub fn work(&self) -> Work {
        self.work
    }

    /// `None` for a source that does not exist.
    pub fn fact(&self, source: Source) -> Option<Fact> {
        match source {
            Source::Input(index) => self.graph.inputs.get(index).map(|input| Fact {
                element: input.element,
                shape: input.shape.clone(),
                interval: input.interval,
                constant: None,
                derived: Derived::default(),
            }),
            Source::Constant(index) => self.constants.get(index).cloned(),
            Source::Node(index) => self.facts.get(index).cloned(),
        }
    }

    /// What is known of a node's output.
    pub fn node_fact(&self, node: usize) -> Option<&Fact> {
        self.facts.get(node)
    }

    /// True when no operator is `Ordered`: what a proof can speak about.
    pub fn is_integer(&self) -> bool {
        self.graph.nodes.iter().all(|node| node.operator.kind != Kind::Ordered)
    }

    /// The facts of a node's inputs, as its rules saw them.
    pub fn input_facts(&self, node: &Node) -> Result<Vec<Fact>, GraphRefusal> {
        let found = |&source| self.fact(source).ok_or_else(|| not_before(&node.name, source));
        node.inputs.iter().map(found).collect()
    }

    fn check_node(&self, index: usize, account: &Account) -> Result<(Fact, Work), GraphRefusal> {
        let Some(node) = self.graph.nodes.get(index) else { return Err(GraphRefusal::Missing { what: "nodes" }) };
        let refuse = |cause| GraphRefusal::Node { name: node.name.clone(), operator: node.operator.name, cause };
        let (low, high) = node.operator.inputs;
        let found = node.inputs.len();
        if found < low || found > high {
            return Err(refuse(Refusal::Inputs { low, high, found }));
        }
        for (name, _) in node.attributes.iter() {
            if !node.operator.attributes.contains(&name) {
                return Err(refuse(Refusal::UnknownAttribute { name: name.to_owned() }));
            }
        }
        let inputs = self.input_facts(node)?;
        let site = Site { attributes: &node.attributes, inputs: &inputs, rows_max: self.rows_max, account };
        let form = (node.operator.shape)(&site).map_err(refuse)?;
        if form.shape.rank() > Shape::RANK_MAX {
            let (rank, limit) = (form.shape.rank(), Shape::RANK_MAX);
            return Err(GraphRefusal::Rank { name: node.name.clone(), rank, limit });
        }
        // Broadcasting puts sizes of one operand in front of the other's rows.
        if form.shape.has_inner_rows() {
            return Err(GraphRefusal::InnerRows { name: node.name.clone(), shape: form.shape });
        }
        if let Element::Packed(_) = form.element {
            return Err(GraphRefusal::Packed { name: node.name.clone(), element: form.element });
        }
        let mut interval = (node.operator.bounds)(&site).map_err(refuse)?;
        if form.element.is_integer() {
            interval = interval.within(form.element).map_err(refuse)?;
        }
        let work = (node.operator.work)(&site, &form).map_err(refuse)?;
        let (element, shape, derived) = (form.element, form.shape, Derived::default());
        Ok((Fact { element, shape, interval, constant: None, derived }, work))
    }

    fn check_size(&self) -> Result<(), GraphRefusal> {
        let limit = INTERMEDIATE_BYTES_MAX;
        let reach = self.graph.nodes.iter().map(|node| node.operator.reach);
        let is_text =
            reach.clone().any(|reach| reach == Reach::Before) && !reach.clone().any(|reach| reach == Reach::All);
        let rows = if is_text { self.rows_max.min(PIECE_ROWS) } else { self.rows_max };
        let size = |fact: &Fact| {
            let count = u64::try_from(fact.shape.count(rows)?).ok()?;
            count.checked_mul(u64::try_from(fact.element.bytes()).ok()?)
        };
        let inputs: Option<u64> = self
            .graph
            .inputs
            .iter()
            .enumerate()
            .try_fold(0_u64, |all, (index, _)| all.checked_add(size(&self.fact(Source::Input(index))?)?));
        let all = inputs.and_then(|bytes| self.facts.iter().try_fold(bytes, |all, fact| all.checked_add(size(fact)?)));
        match all {
            Some(bytes) if bytes <= limit => Ok(()),
            bytes => Err(GraphRefusal::TooLarge { bytes: bytes.unwrap_or(u64::MAX), limit }),
        }
    }
}

fn not_before(user: &str, source: Source) -> GraphRefusal {
    GraphRefusal::NotBefore { user: user.to_owned(), source_name: format!("{source:?}") }
}
