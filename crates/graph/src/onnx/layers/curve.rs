//! Several nodes that compute each number of a value from the same number of one other: a curve, which becomes a table. GELU in
//! five nodes, `x · sigmoid(x)`, or a mask made of zeros and ones are such.

use std::collections::BTreeSet;

use super::net::{MOVES, Net, apply, output};
use crate::program::{Array, Family, Node, Source, Type};

/// Operators that work number by number, where all but one operand are single numbers.
pub const POINTWISE: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "Not",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Where",
];

#[derive(Clone, Debug)]
pub struct Curve {
    pub root: u32,
    pub result: u32,
    /// In the order in which they run.
    nodes: Vec<usize>,
}

/// The curve that ends in a node and begins as far from it as nodes allow.
pub fn find(net: &Net, node: &Node) -> Option<Curve> {
    search(net, node, false)
}

/// A curve of an input of zeros and ones, through movements too.
pub fn of_mask(net: &Net, source: Source) -> Option<Curve> {
    let slot = net.live(source)?;
    let Some(node) = net.maker(slot) else { return Some(Curve { root: slot, result: slot, nodes: Vec::new() }) };
    search(net, node, true).filter(|curve| net.maker(curve.root).is_none())
}

fn search(net: &Net, node: &Node, moves: bool) -> Option<Curve> {
    let result = output(node)?;
    let index = |slot: u32| net.maker_index(slot);
    let mut nodes = BTreeSet::new();
    // What the nodes so far read, by the node that makes it: the last is taken in first.
    let mut open = BTreeSet::from([(index(result), result)]);
    let mut found = None;
    while let Some((Some(last), slot)) = open.pop_last() {
        let maker = net.nodes().get(last)?;
        if !(is_pointwise(net, maker) || moves && MOVES.contains(&maker.operator.name)) {
            break;
        }
        nodes.insert(last);
        let reads = net.reads(maker);
        if reads.is_empty() || maker.outputs.first() != Some(&Some(slot)) {
            break;
        }
        open.extend(reads.into_iter().map(|read| (index(read), read)));
        if open.len() == 1 {
            let root = open.first().map(|(_, root)| *root)?;
            found = Some(Curve { root, result, nodes: nodes.iter().copied().collect() });
        }
    }
    found
}

/// Whether a node works number by number on what it reads of the caller's data.
fn is_pointwise(net: &Net, node: &Node) -> bool {
    let alone = |source: &Source| match source {
        Source::Nothing => true,
        source => net.live(*source).is_some() || net.constant(*source).is_some_and(|array| array.len() == 1),
    };
    POINTWISE.contains(&node.operator.name) && node.inputs.iter().all(alone)
}

/// The standard's numbers of the floats that hold what a table's entry tells: f32, f16, f64, bf16.
const FLOATS: [i64; 4] = [1, 10, 11, 16];

fn to_floats(node: &Node) -> bool {
    node.integer("to", 0).is_ok_and(|to| FLOATS.contains(&to))
}

impl Curve {
    /// The results for these numbers.
    pub fn at(&self, net: &Net, values: &[f32]) -> Option<Vec<f64>> {
        let array = Array::f32s(&[values.len()], values.to_vec()).ok()?;
        apply(net, &self.nodes, self.root, self.result, array)
    }

    /// The results for 0 and 1 of an input of integers or truth values.
    pub fn at_bits(&self, net: &Net) -> Option<[f64; 2]> {
        let kind = net.program.inputs.iter().zip(&net.program.body.inputs).find(|(_, slot)| **slot == self.root)?.0;
        let Type::Tensor { element, .. } = kind.kind else { return None };
        if self.nodes.is_empty() {
            return Some([0.0, 1.0]);
        }
        let bits = match element {
            crate::program::Element::F32 => Array::f32s(&[2], vec![0.0, 1.0]),
            element => Array::wholes(element, &[2], [0, 1].into_iter()),
        };
        apply(net, &self.nodes, self.root, self.result, bits.ok()?)?.try_into().ok()
    }

    /// Whether it begins at an input of integers or truth values, which a cast to integers leaves as they are.
    fn begins_whole(&self, net: &Net) -> bool {
        let mut ports = net.program.inputs.iter().zip(&net.program.body.inputs);
        let port = ports.find(|(_, slot)| **slot == self.root).map(|(port, _)| &port.kind);
        matches!(port, Some(Type::Tensor { element, .. }) if matches!(element.family(), Family::Whole | Family::Bool))
    }

    /// The factor, where the curve only multiplies.
    pub fn factor(&self, net: &Net) -> Option<f64> {
        let whole = self.begins_whole(net);
        let linear = |index: &usize| {
            let name = net.nodes().get(*index).map_or("", |node| node.operator.name);
            let by = net.nodes().get(*index).is_some_and(|node| net.reads(node).len() == 1);
            let divides = net.nodes().get(*index).is_some_and(|node| net.live(node.inputs[0]).is_some());
            let multiplies = matches!(name, "Mul" | "Identity" | "Dropout") || name == "Div" && divides;
            let keeps = name == "Cast" && net.nodes().get(*index).is_some_and(|node| whole || to_floats(node));
            by && (multiplies || keeps)
        };
        let factor = self.at(net, &[1.0])?.first().copied()?;
        (self.nodes.iter().all(linear) && factor > 0.0 && factor.is_finite()).then_some(factor)
    }
}
