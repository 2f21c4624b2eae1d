//! The integer graph under construction: what each slot is held as, and how it is brought to another form.
//!
//! Images are held with their channels innermost; who needs the order of the file asks for it.

use std::collections::BTreeMap;

use super::super::error::CompileError;
use super::super::integer::{
    encoding::{Encoding, fraction},
    scale::Factor,
};
use super::encoding;
use super::net::{Net, describe};
use super::wish::Wish;
use crate::graph::{Graph, Input, Output, Source};
use crate::operator::{Interval, NO_BOUNDS, Operator};
use crate::program::{self, Node};
use crate::shape::{Dimension, Shape};
use crate::tensor::{Element, Tensor};
use crate::{Attributes, ops};

/// A value of the integer graph.
#[derive(Clone)]
pub struct Held {
    pub source: Source,
    pub encoding: Encoding,
    /// As it is held.
    pub shape: Shape,
    /// Channels are innermost, where the file has them along axis 1.
    pub last: bool,
}

pub struct Emitter<'a> {
    pub net: &'a Net<'a>,
    wishes: &'a [Wish],
    pub graph: Graph,
    held: BTreeMap<u32, Held>,
    /// 8-bit forms of values that are held otherwise, by slot and whether they have a sign.
    eights: BTreeMap<(u32, bool), Held>,
}

/// Longest name of a node or constant that is taken from the file.
const NAME_BYTES: usize = 88;

/// A node that has no integer form, and why.
pub fn refuse(node: &Node, problem: impl Into<String>) -> CompileError {
    CompileError::Layer { node: format!("node {}", describe(node)), problem: problem.into() }
}

pub fn name(node: &Node) -> String {
    let mut end = NAME_BYTES.min(node.name.len());
    while !node.name.is_char_boundary(end) {
        end -= 1;
    }
    node.name[..end].to_owned()
}

impl<'a> Emitter<'a> {
    pub fn new(net: &'a Net<'a>, wishes: &'a [Wish]) -> Self {
        Self { net, wishes, graph: Graph::default(), held: BTreeMap::new(), eights: BTreeMap::new() }
    }

    pub fn input(&mut self, index: usize, slot: u32) -> Result<(), CompileError> {
        let port = self.net.program.inputs.get(index);
        let port = port.ok_or_else(|| CompileError::NoIntegerForm { nodes: "the inputs".into() })?;
        let lost =
            |problem: &str| CompileError::Layer { node: format!("input {:?}", port.name), problem: problem.into() };
        let seen = self.net.seen(slot).ok_or_else(|| lost("is no tensor"))?;
        let program::Type::Tensor { element, .. } = port.kind else { return Err(lost("is no tensor")) };
        let (shape, source) = (seen.shape.clone(), Source::Input(index));
        if shape.0.iter().skip(1).any(|size| *size == Dimension::Rows) {
            return Err(lost("has rows that are not outermost"));
        }
        let (element, interval) = match element {
            program::Element::F32 => (Element::F32, NO_BOUNDS),
            program::Element::I64 => (Element::I64, self.interval(slot)),
            program::Element::I32 => (Element::I32, self.interval(slot)),
            _ => return Err(lost("has elements that no integer model takes: expected f32, i32 or i64")),
        };
        if element != Element::F32 && (seen.low < interval.low as f64 || seen.high > interval.high as f64) {
            return Err(lost(&format!("holds integers outside of {} to {}", interval.low, interval.high)));
        }
        self.graph.inputs.push(Input { name: port.name.clone(), element, shape: shape.clone(), interval });
        let held = if element == Element::F32 {
            let target = encoding::input(seen);
            let fraction = fraction(target).ok_or_else(|| lost("has no scale"))?;
            let attributes = range(target).with("fraction", fraction);
            let name = format!("{}/quantised", port.name);
            let source = self.graph.node(name, &ops::quantise::OPERATOR, attributes, &[source]);
            Held { source, encoding: target, shape, last: false }
        } else {
            let encoding = Encoding { element, unit: 1.0, low: interval.low, high: interval.high };
            Held { source, encoding, shape, last: false }
        };
        self.held.insert(slot, held);
        Ok(())
    }

    /// What integers an input may hold: rows of the tables that it is looked up in, else 0 and 1.
    fn interval(&self, slot: u32) -> Interval {
        let table = |&index: &usize| {
            let node = self.net.nodes().get(index).filter(|node| node.operator.name == "Gather")?;
            let indexes = node.inputs.get(1).and_then(|&source| self.net.live(source)) == Some(slot);
            let table = self.net.constant(*node.inputs.first()?)?;
            indexes.then(|| table.shape().first().map_or(1, |&rows| rows as i64))
        };
        let rows = self.net.users(slot).iter().filter_map(table).min();
        Interval { low: 0, high: rows.unwrap_or(2).max(1) - 1 }
    }

    pub fn output(&mut self, name: &str, source: program::Source) -> Result<(), CompileError> {
        let lost = || CompileError::Layer {
            node: format!("output {name:?}"),
            problem: "is a constant, or integers of the caller".into(),
        };
        let slot = self.net.live(source).ok_or_else(lost)?;
        let held = self.held(slot).ok_or_else(lost)?;
        let mut held = self.plain(name, held);
        if fraction(held.encoding).is_none() || held.encoding.unit == 1.0 {
            let target = encoding::output(self.net.seen(slot).ok_or_else(lost)?);
            held = self.requantise(&format!("{name}/wide"), &held, target);
        }
        let fraction = fraction(held.encoding).ok_or_else(lost)?;
        let attributes = Attributes::new().with("fraction", fraction);
        let source = self.graph.node(name, &ops::dequantise::OPERATOR, attributes, &[held.source]);
        self.graph.outputs.push(Output { name: name.to_owned(), source });
        Ok(())
    }

    /// What a slot is held as; `None` where nothing made it.
    pub fn held(&self, slot: u32) -> Option<Held> {
        self.held.get(&slot).cloned()
    }

    pub fn need(&self, node: &Node, slot: u32) -> Result<Held, CompileError> {
        self.held(slot).ok_or_else(|| refuse(node, "reads a value that has no integer form"))
    }

    /// The node's live input at `index`.
    pub fn operand(&self, node: &Node, index: usize) -> Result<(u32, Held), CompileError> {
        let slot = node.inputs.get(index).and_then(|&source| self.net.live(source));
        let slot = slot.ok_or_else(|| refuse(node, format!("has a constant as input {index}, or none")))?;
        Ok((slot, self.need(node, slot)?))
    }

    /// How a slot is to be held.
    pub fn target(&self, node: &Node, slot: u32) -> Result<Encoding, CompileError> {
        let seen = self.net.seen(slot).ok_or_else(|| refuse(node, "makes no tensor"))?;
        let wish = self.wishes.get(slot as usize).copied().unwrap_or_default();
        Ok(encoding::chosen(seen, wish, self.net.is_output(slot)))
    }

    pub fn keep(&mut self, node: &Node, slot: u32, held: Held) -> Result<(), CompileError> {
        let shape = self.net.shape(slot);
        if shape.0.iter().skip(1).any(|size| *size == Dimension::Rows) {
            return Err(refuse(node, format!("makes {shape}: the rows must stay outermost and alone")));
        }
        self.held.insert(slot, held);
        Ok(())
    }

    /// The shape of a slot with the channels innermost.
    pub fn shape_last(&self, slot: u32) -> Shape {
        let mut sizes = self.net.shape(slot).0;
        if sizes.len() > 2 {
            let channels = sizes.remove(1);
            sizes.push(channels);
        }
        Shape(sizes)
    }

    pub fn add(
        &mut self,
        name: &str,
        operator: &'static Operator,
        attributes: Attributes,
        inputs: &[Source],
    ) -> Source {
        self.graph.node(name, operator, attributes, inputs)
    }

    pub fn constant(&mut self, name: &str, element: Element, shape: &[usize], values: Vec<i64>) -> Source {
        let tensor = Tensor::of_integers(element, shape, values);
        // The caller has cut the values to the element, and counted them.
        let empty = || Tensor::of(&[0], crate::tensor::Data::I8(Vec::new()));
        self.graph.constant(name, tensor.unwrap_or_else(empty))
    }

    /// A value in 8 bits.
    pub fn eight(&mut self, node: &Node, slot: u32, signed: bool) -> Result<Held, CompileError> {
        let held = self.need(node, slot)?;
        match held.encoding.element {
            Element::I8 => return Ok(held),
            Element::U8 if !signed => return Ok(held),
            _ => {}
        }
        if let Some(held) = self.eights.get(&(slot, signed)) {
            return Ok(held.clone());
        }
        let seen = self.net.seen(slot).ok_or_else(|| refuse(node, "reads no tensor"))?;
        let target = encoding::eight(seen, signed);
        let name = format!("{}/8 bits of {slot}", name(node));
        let held = self.requantise(&name, &held, target);
        self.eights.insert((slot, signed), held.clone());
        Ok(held)
    }

    /// Under another encoding; itself where it has it.
    pub fn requantise(&mut self, name: &str, x: &Held, target: Encoding) -> Held {
        if x.encoding == target {
            return x.clone();
        }
        let factor = Factor::near(x.encoding.unit / target.unit);
        let multiplier = self.constant(&format!("{name}/multiplier"), Element::I32, &[1], vec![factor.multiplier]);
        let shift = self.constant(&format!("{name}/shift"), Element::U8, &[1], vec![factor.shift]);
        let attributes = range(target).with("axis", 0);
        let source = self.add(name, &ops::requantise::OPERATOR, attributes, &[x.source, multiplier, shift]);
        Held { source, encoding: target, ..x.clone() }
    }

    /// With axes in another order.
    pub fn turn(&mut self, name: &str, x: &Held, axes: &[usize]) -> Held {
        let shape = Shape(axes.iter().filter_map(|&axis| x.shape.0.get(axis).copied()).collect());
        // Sizes of 1 may change places without any work.
        let moves = axes.iter().filter(|&&axis| x.shape.0.get(axis) != Some(&Dimension::Fixed(1)));
        if moves.is_sorted() {
            return self.reshape(name, x, &shape);
        }
        let attributes = Attributes::new().with("axes", axes.iter().map(|&axis| axis as i64).collect::<Vec<i64>>());
        let source = self.add(name, &ops::transpose::OPERATOR, attributes, &[x.source]);
        Held { source, shape, ..x.clone() }
    }

    /// Under other sizes; a size of the rows stays outermost.
    pub fn reshape(&mut self, name: &str, x: &Held, shape: &Shape) -> Held {
        if *shape == x.shape {
            return x.clone();
        }
        let size = |dimension: &Dimension| if let Dimension::Fixed(size) = dimension { *size as i64 } else { 0 };
        let attributes = Attributes::new().with("sizes", shape.0.iter().map(size).collect::<Vec<i64>>());
        let source = self.add(name, &ops::reshape::OPERATOR, attributes, &[x.source]);
        Held { source, shape: shape.clone(), ..x.clone() }
    }

    /// In the order of the file.
    pub fn plain(&mut self, name: &str, x: Held) -> Held {
        let rank = x.shape.rank();
        if !x.last || rank < 3 {
            return x;
        }
        let axes: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        Held { last: false, ..self.turn(&format!("{name}/in file order"), &x, &axes) }
    }

    /// With the channels innermost.
    pub fn last(&mut self, name: &str, x: Held) -> Held {
        let rank = x.shape.rank();
        if x.last || rank < 3 {
            return x;
        }
        let axes: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
        Held { last: true, ..self.turn(&format!("{name}/channels last"), &x, &axes) }
    }
}

/// Element and clamp as attributes.
pub fn range(encoding: Encoding) -> Attributes {
    let attributes = Attributes::new().with("element", i64::from(encoding.element.code()));
    attributes.with("low", encoding.low).with("high", encoding.high)
}
