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

impl Held {
    /// Where an axis of the file stands in what is held.
    pub fn axis(&self, axis: usize) -> usize {
        let rank = self.shape.rank();
        match (self.last && rank > 2, axis) {
            (true, 1) => rank - 1,
            (true, 2..) => axis - 1,
            _ => axis,
        }
    }
}

pub struct Emitter<'a> {
    pub net: &'a Net<'a>,
    wishes: &'a [Wish],
    pub graph: Graph,
    held: BTreeMap<u32, Held>,
    /// 8-bit forms of values that are held otherwise, by slot and whether they have a sign.
    eights: BTreeMap<(u32, bool), Held>,
    /// Values whose rows the file has inside, held with the rows outermost.
    inner: BTreeMap<u32, Held>,
    /// The places of inputs in the order of all floats.
    places: BTreeMap<u32, Source>,
    /// Classes that were found, as integers that leave.
    labels: BTreeMap<u32, (Source, Shape)>,
}

/// Longest name of a node or constant that is taken from the file.
const NAME_BYTES: usize = 88;

/// The greatest integer up to which floats hold all.
const FEATURE_MAX: i64 = 1 << 24;

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
        Self {
            net,
            wishes,
            graph: Graph::default(),
            held: BTreeMap::new(),
            eights: BTreeMap::new(),
            inner: BTreeMap::new(),
            places: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
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
            let wish = self.wish(slot);
            if wish.places {
                self.places.insert(slot, source);
            }
            let target = if wish == Wish::FINE { encoding::fine(seen) } else { encoding::input(seen) };
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
        match self.net.users(slot).iter().filter_map(table).min() {
            // Features that a float holds exactly.
            None if self.net.is_classical() => Interval { low: -FEATURE_MAX, high: FEATURE_MAX },
            rows => Interval { low: 0, high: rows.unwrap_or(2).max(1) - 1 },
        }
    }

    pub fn output(&mut self, name: &str, source: program::Source) -> Result<(), CompileError> {
        let lost = || CompileError::Layer {
            node: format!("output {name:?}"),
            problem: "is a constant, or integers of the caller".into(),
        };
        let slot = self.net.live(source).ok_or_else(lost)?;
        if let Some((source, _)) = self.labels(slot) {
            self.graph.outputs.push(Output { name: name.to_owned(), source });
            return Ok(());
        }
        if self.inner.contains_key(&slot) {
            let problem = "has its rows inside, which must stay outermost".to_owned();
            return Err(CompileError::Layer { node: format!("output {name:?}"), problem });
        }
        let held = self.held(slot).ok_or_else(lost)?;
        let mut held = self.plain(name, held);
        let most = held.encoding.low.unsigned_abs().max(held.encoding.high.unsigned_abs());
        let is_float = fraction(held.encoding).is_some() && most <= ops::dequantise::MAGNITUDE_MAX;
        if !is_float || held.encoding.unit == 1.0 && held.encoding.element != Element::I32 {
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

    fn wish(&self, slot: u32) -> Wish {
        self.wishes.get(slot as usize).copied().unwrap_or_default()
    }

    /// Whether nothing computes with a slot: it leaves as it is.
    pub fn leaves(&self, slot: u32) -> bool {
        self.wish(slot) == Wish::NONE
    }

    /// Classes that leave as integers.
    pub fn labels(&self, slot: u32) -> Option<(Source, Shape)> {
        self.labels.get(&slot).cloned()
    }

    pub fn keep_labels(&mut self, slot: u32, source: Source, shape: Shape) {
        self.labels.insert(slot, (source, shape));
    }

    /// The places of an input's floats in the order of all floats; `None` of what is no such input.
    pub fn places(&mut self, slot: u32) -> Option<Source> {
        let source = *self.places.get(&slot)?;
        if let Source::Input(index) = source {
            let name = self.graph.inputs.get(index).map_or("", |input| &input.name);
            let node = self.graph.node(format!("{name}/order"), &ops::order::OPERATOR, Attributes::new(), &[source]);
            self.places.insert(slot, node);
        }
        self.places.get(&slot).copied()
    }

    /// A value as a float that leaves, exactly.
    pub fn leaving(&mut self, node: &Node, slot: u32, held: &Held) -> Result<Held, CompileError> {
        let held = self.plain(&name(node), held.clone());
        if fraction(held.encoding).is_some() {
            return Ok(held);
        }
        let seen = self.net.seen(slot).ok_or_else(|| refuse(node, "reads no tensor"))?;
        Ok(self.requantise(&format!("{}/wide", name(node)), &held, encoding::output(seen)))
    }

    /// A value, and whether the file has its rows inside; its own axes are then those of `outward`.
    pub fn either(&self, node: &Node, slot: u32) -> Result<(Held, bool), CompileError> {
        match self.inner.get(&slot) {
            Some(held) => Ok((held.clone(), true)),
            None => Ok((self.need(node, slot)?, false)),
        }
    }

    /// Keeps what is held with its rows outermost, wherever the file has them.
    pub fn keep_either(&mut self, node: &Node, slot: u32, held: Held) -> Result<(), CompileError> {
        if outward(&self.net.shape(slot)).first().is_none_or(|axis| *axis == 0) {
            return self.keep(node, slot, held);
        }
        self.inner.insert(slot, held);
        Ok(())
    }

    pub fn need(&self, node: &Node, slot: u32) -> Result<Held, CompileError> {
        let problem = match self.inner.get(&slot) {
            Some(_) => "reads a value whose rows stand inside: they must stay outermost",
            None => "reads a value that has no integer form",
        };
        self.held(slot).ok_or_else(|| refuse(node, problem))
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
        Ok(encoding::chosen(seen, self.wish(slot), self.net.is_output(slot)))
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

/// The axes of a shape with the rows' one first.
pub fn outward(shape: &Shape) -> Vec<usize> {
    let rows = shape.0.iter().position(|size| *size == Dimension::Rows).unwrap_or(0);
    let axes = 0..shape.rank();
    axes.clone().filter(|&axis| axis == rows).chain(axes.filter(|&axis| axis != rows)).collect()
}

/// A shape with its axes in another order.
pub fn turned(shape: &Shape, axes: &[usize]) -> Shape {
    Shape(axes.iter().filter_map(|&axis| shape.0.get(axis).copied()).collect())
}

/// Element and clamp as attributes.
pub fn range(encoding: Encoding) -> Attributes {
    let attributes = Attributes::new().with("element", i64::from(encoding.element.code()));
    attributes.with("low", encoding.low).with("high", encoding.high)
}
