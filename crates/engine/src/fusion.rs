//! Nodes that one kernel computes together: what lies between them is wide, and nobody else reads it.
//!
//! Two forms: an activation and the product behind it (`ops::gated`), and an integer operator with the requantisation
//! behind it and perhaps a table behind that (its *tail*). Each keeps the bits of its nodes one after the other.

use std::sync::Arc;

use graph::{Checked, Element, Fact, Source};

use crate::{
    constants::Numbers,
    kernel::{Kernel, Making},
    ops,
    tail::{Table, Tail},
};

pub struct Fused {
    /// Nodes whose outputs nobody asks for, the first of them first.
    pub hidden: Vec<usize>,
    /// The node whose output is given.
    pub last: usize,
    pub inputs: Vec<Source>,
    pub kernel: Box<dyn Kernel>,
}

/// All nodes that can be computed together.
pub fn fusions(checked: &Checked) -> Vec<Fused> {
    let users = Users::of(checked);
    let nodes = 0..checked.graph().nodes.len();
    nodes.filter_map(|node| gated(checked, &users, node).or_else(|| tailed(checked, &users, node))).collect()
}

/// Of each node, how often it is used and by which node last.
struct Users(Vec<(usize, usize)>);

impl Users {
    fn of(checked: &Checked) -> Self {
        let graph = checked.graph();
        let mut users = vec![(0, usize::MAX); graph.nodes.len()];
        let inputs =
            graph.nodes.iter().enumerate().flat_map(|(user, node)| node.inputs.iter().map(move |x| (user, *x)));
        let outputs = graph.outputs.iter().map(|output| (usize::MAX, output.source));
        for (user, source) in inputs.chain(outputs) {
            if let Source::Node(node) = source {
                users[node] = (users[node].0 + 1, user);
            }
        }
        Self(users)
    }

    /// The only user of a node, where it has one and is no output.
    fn only(&self, node: usize) -> Option<usize> {
        let (count, user) = self.0[node];
        (count == 1 && user != usize::MAX).then_some(user)
    }
}

/// A product with an activation that only the product reads.
fn gated(checked: &Checked, users: &Users, product: usize) -> Option<Fused> {
    let node = checked.graph().nodes.get(product).filter(|node| node.operator.name == "multiply_f32")?;
    let output = checked.node_fact(product)?;
    let [one, other] = &node.inputs[..] else { return None };
    let same = |source: Source| checked.fact(source).is_some_and(|fact| fact.shape == output.shape);
    for (from, factor) in [(*one, *other), (*other, *one)] {
        let Source::Node(activation) = from else { continue };
        let inner = &checked.graph().nodes[activation];
        if !(same(from) && same(factor) && users.only(activation) == Some(product)) {
            continue;
        }
        if let (Some(kernel), [x]) = (ops::gated(inner.operator.name), &inner.inputs[..]) {
            return Some(Fused { hidden: vec![activation], last: product, inputs: vec![*x, factor], kernel });
        }
    }
    None
}

/// An integer operator with what is behind it.
fn tailed(checked: &Checked, users: &Users, first: usize) -> Option<Fused> {
    let nodes = &checked.graph().nodes;
    let node = nodes.get(first).filter(|node| ops::TAILED.contains(&node.operator.name))?;
    let requantise = users.only(first).filter(|user| nodes[*user].operator.name == "requantise")?;
    let behind = &nodes[requantise];
    let (facts, output) = (checked.input_facts(behind).ok()?, checked.node_fact(requantise)?);
    let (attributes, tail) = (&behind.attributes, Arc::default());
    let factors = ops::requantise::factors(&Making { attributes, inputs: &facts, output, tail })?;
    let table = users.only(requantise).and_then(|user| Some((user, table(checked, user, output)?)));
    let (last, tail) = match table {
        Some((user, table)) => (user, Tail::Lookup(factors, table)),
        None => (requantise, Tail::Requantise(factors)),
    };
    let (facts, output) = (checked.input_facts(node).ok()?, checked.node_fact(last)?);
    let making = Making { attributes: &node.attributes, inputs: &facts, output, tail: Arc::new(tail) };
    let kernel = ops::fast(node, &making)?;
    let hidden = if last == requantise { vec![first] } else { vec![first, requantise] };
    Some(Fused { hidden, last, inputs: node.inputs.clone(), kernel })
}

/// The table of a lookup of words in words.
fn table(checked: &Checked, user: usize, x: &Fact) -> Option<Table> {
    let node = checked.graph().nodes.get(user).filter(|node| node.operator.name == "lookup")?;
    let facts = checked.input_facts(node).ok()?;
    let values = Numbers::new(facts.get(1)?.constant.as_ref()?)?;
    let first = node.attributes.integer("first").ok()?;
    (x.element == Element::I16).then_some(Table { first, values })
}
