//! A program as bytes: one encoding each way, every reference checked, so that what was read is fit to run.
//!
//! Numbers are little-endian; lists and texts have a 32-bit count in front. Slots are numbered in the order in which they are
//! made: a body's inputs, then for each node the slots of its bodies (attributes by rising name), then its outputs.

use std::{collections::BTreeMap, sync::Arc};

use super::array::Array;
use super::element::{Element, Family};
use super::machine::MANY;
use super::machine::RANK_MAX;
use super::machine::{Attribute, Body, Derived, Node, Port, Program, Source};
use super::ops;
use super::value::{Size, Type};
use crate::bytes::{Malformed, Reader, Writer};

pub const NAME_BYTES_MAX: usize = 4096;
const TEXT_BYTES_MAX: usize = 1 << 20;
const LIST_MAX: usize = 1 << 24;
const NODES_MAX: usize = 1 << 18;
const CONSTANTS_MAX: usize = 1 << 20;
const SLOTS_MAX: u32 = 1 << 22;
/// Deepest nesting of bodies and types.
const DEPTH_MAX: usize = 16;
/// Stands for an output that nothing reads.
const UNREAD: u32 = u32::MAX;

/// The whole program.
pub fn write(program: &Program) -> Vec<u8> {
    // Most of it is constants, which may be a large part of a machine's memory.
    let constants: u64 = program.constants.iter().map(|constant| constant.weight()).sum();
    let mut writer = Writer::with_room(usize::try_from(constants).unwrap_or(0));
    for ports in [&program.inputs, &program.outputs] {
        writer.count(ports.len());
        for port in ports {
            writer.text(&port.name);
            write_type(&port.kind, &mut writer);
        }
    }
    writer.count(program.constants.len());
    write_body(&program.body, &mut writer);
    for constant in &program.constants {
        writer.u8(constant.element().code());
        writer.count(constant.rank());
        constant.shape().iter().for_each(|&size| {
            writer.u64(size as u64);
        });
        let bytes = constant.to_bytes();
        writer.u64(bytes.len() as u64).raw(&bytes);
    }
    writer.finish()
}

/// Reads what `write` wrote and checks that the program is fit to run.
pub fn read(bytes: &[u8]) -> Result<Program, Malformed> {
    let mut reader = Reader::new("the program", bytes);
    let (inputs, outputs) = (read_ports(&mut reader)?, read_ports(&mut reader)?);
    let constants = reader.count("constants", CONSTANTS_MAX, 13)?;
    let mut reading = Reading { constants: constants as u32, ..Reading::default() };
    let body = reading.body(&mut reader)?;
    let expected = (inputs.len(), outputs.len());
    if (body.inputs.len(), body.outputs.len()) != expected {
        return Err(Malformed::NotCanonical { what: "the number of ports" });
    }
    let constants: Result<Vec<Arc<Array>>, Malformed> = (0..constants).map(|_| read_constant(&mut reader)).collect();
    let program = Program { inputs, outputs, constants: constants?, body, slots: reading.slots }.released();
    reader.finish()?;
    // Writing it again settles that there is one encoding.
    if write(&program) != bytes {
        return Err(Malformed::NotCanonical { what: "the program" });
    }
    match program.refusals().into_iter().next() {
        Some(fault) => Err(Malformed::Refused { cause: fault.to_string() }),
        None => Ok(program),
    }
}

fn write_type(kind: &Type, writer: &mut Writer) {
    match kind {
        Type::Tensor { element, shape } => {
            writer.u8(if shape.is_some() { 2 } else { 1 }).u8(element.code());
            let Some(shape) = shape else { return };
            writer.count(shape.len());
            for size in shape {
                match size {
                    Size::Fixed(size) => writer.u8(1).u64(*size as u64),
                    Size::Free(name) => writer.u8(2).text(name),
                };
            }
        }
        Type::Sequence(inner) => write_type(inner, writer.u8(3)),
        Type::Optional(inner) => write_type(inner, writer.u8(4)),
        Type::Map { key, value } => write_type(value, writer.u8(5).u8(key.code())),
    }
}

fn read_element(reader: &mut Reader) -> Result<Element, Malformed> {
    let code = reader.u8()?;
    Element::from_code(code.into()).ok_or(Malformed::Unknown { what: "an element", found: code.into() })
}

fn read_type(reader: &mut Reader, depth: usize) -> Result<Type, Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed::TooMany { what: "levels of types", found: depth as u64, limit: DEPTH_MAX as u64 });
    }
    match reader.u8()? {
        1 => Ok(Type::Tensor { element: read_element(reader)?, shape: None }),
        2 => {
            let element = read_element(reader)?;
            let rank = reader.count("sizes", RANK_MAX, 1)?;
            let size = |_| match reader.u8()? {
                1 => Ok(Size::Fixed(reader.u64()? as usize)),
                2 => Ok(Size::Free(reader.text("the name of a size", NAME_BYTES_MAX)?)),
                tag => Err(Malformed::Unknown { what: "a size", found: tag.into() }),
            };
            let shape: Result<Vec<Size>, Malformed> = (0..rank).map(size).collect();
            Ok(Type::Tensor { element, shape: Some(shape?) })
        }
        3 => Ok(Type::Sequence(Box::new(read_type(reader, depth + 1)?))),
        4 => Ok(Type::Optional(Box::new(read_type(reader, depth + 1)?))),
        5 => Ok(Type::Map { key: read_element(reader)?, value: Box::new(read_type(reader, depth + 1)?) }),
        tag => Err(Malformed::Unknown { what: "a type", found: tag.into() }),
    }
}

fn read_ports(reader: &mut Reader) -> Result<Vec<Port>, Malformed> {
    let count = reader.count("ports", MANY, 6)?;
    let port = |_| Ok(Port { name: reader.text("the name of a port", NAME_BYTES_MAX)?, kind: read_type(reader, 0)? });
    (0..count).map(port).collect()
}

fn read_constant(reader: &mut Reader) -> Result<Arc<Array>, Malformed> {
    let element = read_element(reader)?;
    let rank = reader.count("sizes of a constant", RANK_MAX, 8)?;
    let sizes: Result<Vec<usize>, Malformed> = (0..rank).map(|_| reader.u64().map(|size| size as usize)).collect();
    let length = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
    let bytes = reader.take(length)?;
    let array = Array::from_bytes(element, &sizes?, bytes);
    // A float may be a NaN of another form than the one that is written.
    let is_float = !matches!(element.family(), Family::Whole | Family::Bool | Family::Text);
    let array = array.filter(|array| !is_float || array.to_bytes() == bytes);
    array.map(Arc::new).ok_or(Malformed::NotCanonical { what: "a constant" })
}

fn write_source(source: Source, writer: &mut Writer) {
    match source {
        Source::Nothing => writer.u8(0),
        Source::Constant(index) => writer.u8(1).u32(index),
        Source::Slot(slot) => writer.u8(2).u32(slot),
    };
}

fn write_body(body: &Body, writer: &mut Writer) {
    writer.count(body.inputs.len()).count(body.nodes.len());
    for node in &body.nodes {
        writer.text(&node.name).text(node.operator.domain).text(node.operator.name).u16(node.version);
        writer.count(node.inputs.len());
        node.inputs.iter().for_each(|&source| write_source(source, writer));
        writer.count(node.attributes.len());
        for (name, attribute) in &node.attributes {
            writer.text(name);
            write_attribute(attribute, writer);
        }
        writer.count(node.outputs.len());
        node.outputs.iter().for_each(|slot| {
            writer.u32(slot.unwrap_or(UNREAD));
        });
    }
    writer.count(body.outputs.len());
    body.outputs.iter().for_each(|&source| write_source(source, writer));
}

fn write_attribute(attribute: &Attribute, writer: &mut Writer) {
    match attribute {
        Attribute::Float(value) => {
            writer.u8(1).u32(value.to_bits());
        }
        Attribute::Integer(value) => {
            writer.u8(2).i64(*value);
        }
        Attribute::Text(value) => {
            writer.u8(3).text(value);
        }
        Attribute::Floats(values) => {
            writer.u8(4).count(values.len());
            values.iter().for_each(|value| {
                writer.u32(value.to_bits());
            });
        }
        Attribute::Integers(values) => {
            writer.u8(5).count(values.len());
            values.iter().for_each(|&value| {
                writer.i64(value);
            });
        }
        Attribute::Texts(values) => {
            writer.u8(6).count(values.len());
            values.iter().for_each(|value| {
                writer.text(value);
            });
        }
        Attribute::Constant(index) => {
            writer.u8(7).u32(*index);
        }
        Attribute::Body(body) => write_body(body, writer.u8(8)),
        Attribute::Kind(kind) => write_type(kind, writer.u8(9)),
    }
}

/// What has been read so far: which slots exist, and which can be seen from where the reader stands.
#[derive(Default)]
struct Reading {
    constants: u32,
    slots: u32,
    /// By slot: whether it is still in sight.
    seen: Vec<bool>,
    depth: usize,
    nodes: usize,
}

impl Reading {
    fn define(&mut self) -> Result<u32, Malformed> {
        if self.slots >= SLOTS_MAX {
            let (found, limit) = (u64::from(self.slots) + 1, SLOTS_MAX.into());
            return Err(Malformed::TooMany { what: "slots", found, limit });
        }
        self.seen.push(true);
        self.slots += 1;
        Ok(self.slots - 1)
    }

    fn constant(&self, reader: &mut Reader) -> Result<u32, Malformed> {
        let index = reader.u32()?;
        let unknown = Malformed::Unknown { what: "the index of a constant", found: index.into() };
        if index < self.constants { Ok(index) } else { Err(unknown) }
    }

    fn source(&self, reader: &mut Reader) -> Result<Source, Malformed> {
        match reader.u8()? {
            0 => Ok(Source::Nothing),
            1 => self.constant(reader).map(Source::Constant),
            2 => {
                let slot = reader.u32()?;
                let seen = self.seen.get(slot as usize).copied().unwrap_or(false);
                let unknown =
                    Malformed::Unknown { what: "a slot that does not stand before its use", found: slot.into() };
                if seen { Ok(Source::Slot(slot)) } else { Err(unknown) }
            }
            tag => Err(Malformed::Unknown { what: "a source", found: tag.into() }),
        }
    }

    fn body(&mut self, reader: &mut Reader) -> Result<Body, Malformed> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let (found, limit) = (self.depth as u64, DEPTH_MAX as u64);
            return Err(Malformed::TooMany { what: "levels of bodies", found, limit });
        }
        let first = self.slots as usize;
        // An input takes no bytes of its own, so its count is bounded by a number.
        let ports = reader.u32()?;
        if ports as usize > MANY {
            return Err(Malformed::TooMany { what: "inputs of a body", found: ports.into(), limit: MANY as u64 });
        }
        let nodes = reader.count("nodes", NODES_MAX, 26)?;
        let inputs: Result<Vec<u32>, Malformed> = (0..ports).map(|_| self.define()).collect();
        let nodes: Result<Vec<Node>, Malformed> = (0..nodes).map(|_| self.node(reader)).collect();
        let nodes = nodes?;
        let outputs = reader.count("outputs of a body", MANY, 1)?;
        let outputs: Result<Vec<Source>, Malformed> = (0..outputs).map(|_| self.source(reader)).collect();
        let body = Body { inputs: inputs?, nodes, outputs: outputs?, ..Body::default() };
        // What a body makes is out of sight behind it.
        self.seen.iter_mut().skip(first).for_each(|seen| *seen = false);
        self.depth -= 1;
        Ok(body)
    }

    fn node(&mut self, reader: &mut Reader) -> Result<Node, Malformed> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Malformed::TooMany { what: "nodes", found: self.nodes as u64, limit: NODES_MAX as u64 });
        }
        let name = reader.text("the name of a node", NAME_BYTES_MAX)?;
        let domain = reader.text("the domain of an operator", NAME_BYTES_MAX)?;
        let word = reader.text("the name of an operator", NAME_BYTES_MAX)?;
        let unknown = || Malformed::UnknownOperator { name: format!("{domain}.{word}") };
        let operator = ops::find(&domain, &word).ok_or_else(unknown)?;
        let version = reader.u16()?;
        if !operator.versions.contains(&version) {
            return Err(Malformed::Unknown { what: "the version of an operator", found: version.into() });
        }
        let bounded = |what, found: usize, (low, high): (usize, usize)| match found {
            found if found < low => Err(Malformed::Truncated { what, at: found }),
            found if found > high => Err(Malformed::TooMany { what, found: found as u64, limit: high as u64 }),
            found => Ok(found),
        };
        let count = reader.count("inputs of a node", MANY, 1)?;
        let inputs: Result<Vec<Source>, Malformed> =
            (0..bounded("the inputs of a node", count, operator.inputs)?).map(|_| self.source(reader)).collect();
        let inputs = inputs?;
        let mut attributes = BTreeMap::new();
        for _ in 0..reader.count("attributes", operator.attributes.len(), 6)? {
            let name = reader.text("the name of an attribute", NAME_BYTES_MAX)?;
            let in_order = attributes.last_key_value().is_none_or(|(last, _)| *last < name);
            if !in_order || !operator.attributes.contains(&name.as_str()) {
                return Err(Malformed::NotCanonical { what: "the attributes of a node" });
            }
            let attribute = self.attribute(reader)?;
            attributes.insert(name, attribute);
        }
        let count = reader.count("outputs of a node", MANY, 4)?;
        let outputs: Result<Vec<Option<u32>>, Malformed> =
            (0..bounded("the outputs of a node", count, operator.outputs)?).map(|_| self.output(reader)).collect();
        Ok(Node { name, operator, version, attributes, inputs, outputs: outputs?, derived: Derived::default() })
    }

    fn output(&mut self, reader: &mut Reader) -> Result<Option<u32>, Malformed> {
        match reader.u32()? {
            UNREAD => Ok(None),
            slot if slot == self.slots => self.define().map(Some),
            _ => Err(Malformed::NotCanonical { what: "the numbers of slots" }),
        }
    }

    fn attribute(&mut self, reader: &mut Reader) -> Result<Attribute, Malformed> {
        Ok(match reader.u8()? {
            1 => Attribute::Float(f32::from_bits(reader.u32()?)),
            2 => Attribute::Integer(reader.i64()?),
            3 => Attribute::Text(reader.text("a text", TEXT_BYTES_MAX)?),
            4 => {
                let count = reader.count("floats", LIST_MAX, 4)?;
                let values: Result<Vec<f32>, Malformed> =
                    (0..count).map(|_| reader.u32().map(f32::from_bits)).collect();
                Attribute::Floats(values?)
            }
            5 => {
                let count = reader.count("integers", LIST_MAX, 8)?;
                let values: Result<Vec<i64>, Malformed> = (0..count).map(|_| reader.i64()).collect();
                Attribute::Integers(values?)
            }
            6 => {
                let count = reader.count("texts", LIST_MAX, 4)?;
                let text = |_| reader.text("a text", TEXT_BYTES_MAX).map(Arc::from);
                let values: Result<Vec<Arc<str>>, Malformed> = (0..count).map(text).collect();
                Attribute::Texts(values?)
            }
            7 => Attribute::Constant(self.constant(reader)?),
            8 => Attribute::Body(self.body(reader)?),
            9 => Attribute::Kind(read_type(reader, 0)?),
            tag => return Err(Malformed::Unknown { what: "an attribute", found: tag.into() }),
        })
    }
}
