//! Small steps that both kinds of language graph are built from.

use super::scale::Factor;
use crate::{
    attribute::Attributes,
    graph::{Graph, Input, Output, Source},
    operator::Interval,
    ops,
    shape::{Dimension, Shape},
    tensor::{Data, Element, Tensor},
};

/// A graph that takes tokens.
pub fn start(vocabulary: usize) -> Graph {
    let interval = Interval { low: 0, high: vocabulary as i64 - 1 };
    let shape = Shape(vec![Dimension::Rows]);
    Graph { inputs: vec![Input { name: "tokens".into(), element: Element::I32, shape, interval }], ..Graph::default() }
}

/// The outputs: logits, and perhaps what the head was given.
pub fn finish(graph: &mut Graph, logits: Source, hidden: Option<Source>) {
    graph.outputs.push(Output { name: "logits".into(), source: logits });
    graph.outputs.extend(hidden.map(|source| Output { name: "hidden".into(), source }));
}

/// What accumulators are brought to: an element and the magnitude at which they are cut.
#[derive(Clone, Copy)]
pub struct Target {
    pub element: Element,
    pub limit: i64,
}

pub const TO_I8: Target = Target { element: Element::I8, limit: 127 };
pub const TO_I16: Target = Target { element: Element::I16, limit: 32_767 };

/// Adds a requantisation of `[rows, width]` values, by one factor or one for each column.
pub fn requantise(graph: &mut Graph, name: &str, x: Source, factors: &[Factor], target: Target) -> Source {
    let multipliers = factors.iter().map(|factor| factor.multiplier as i32).collect();
    let shifts = factors.iter().map(|factor| factor.shift).collect();
    let constant = |graph: &mut Graph, what: &str, data: Data| {
        graph.constant(format!("{name}.{what}"), Tensor::of(&[factors.len()], data))
    };
    let multipliers = constant(graph, "multiplier", Data::I32(multipliers));
    let shifts = constant(graph, "shift", Data::U8(shifts));
    let attributes = Attributes::new()
        .with("axis", 1)
        .with("element", i64::from(target.element.code()))
        .with("low", -target.limit)
        .with("high", target.limit);
    graph.node(name, &ops::requantise::OPERATOR, attributes, &[x, multipliers, shifts])
}
