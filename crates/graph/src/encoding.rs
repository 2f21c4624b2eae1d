//! Canonical bytes of a graph: its inputs, the forms and roots of its constants, its nodes and its outputs.
//!
//! The data of the constants lies elsewhere in the artefact; here stands only what commits to it.

use crypto::Digest;

use crate::{
    attribute::{Attribute, Attributes},
    bytes::{Malformed, Reader, Writer},
    graph::{CONSTANTS_MAX, Graph, Input, NODES_MAX, Node, Output, PORTS_MAX, Source},
    operator::Interval,
    ops,
    shape::{Dimension, Shape},
    tensor::Element,
};

pub const NAME_BYTES_MAX: usize = 128;
const ATTRIBUTES_MAX: usize = 32;
const LIST_MAX: usize = 64;
const INPUTS_MAX: usize = 64;
/// Stands for the number of rows where a size is written.
const ROWS: u64 = u64::MAX;

/// A constant before its data is read.
#[derive(Debug)]
pub struct ConstantForm {
    pub name: String,
    pub element: Element,
    pub sizes: Vec<usize>,
    pub root: Digest,
}

/// Writes a graph whose constants have these roots.
pub fn write(graph: &Graph, roots: &[Digest], writer: &mut Writer) {
    writer.count(graph.inputs.len());
    for input in &graph.inputs {
        writer.text(&input.name).u8(input.element.code());
        write_shape(&input.shape, writer);
        writer.i64(input.interval.low).i64(input.interval.high);
    }
    writer.count(graph.constants.len());
    for (constant, root) in graph.constants.iter().zip(roots) {
        writer.text(&constant.name).u8(constant.tensor.element().code());
        write_shape(&Shape::fixed(constant.tensor.shape()), writer);
        writer.raw(&root.0);
    }
    writer.count(graph.nodes.len());
    for node in &graph.nodes {
        writer.text(&node.name).text(node.operator.name);
        write_attributes(&node.attributes, writer);
        writer.count(node.inputs.len());
        node.inputs.iter().for_each(|&source| write_source(source, writer));
    }
    writer.count(graph.outputs.len());
    for output in &graph.outputs {
        writer.text(&output.name);
        write_source(output.source, writer);
    }
}

/// Reads a graph without its constants, and the forms of these.
pub fn read(reader: &mut Reader) -> Result<(Graph, Vec<ConstantForm>), Malformed> {
    let inputs = list(reader, "inputs", PORTS_MAX, |reader| {
        let (name, element) = (reader.text("the name of an input", NAME_BYTES_MAX)?, read_element(reader)?);
        let shape = read_shape(reader)?;
        let interval = Interval { low: reader.i64()?, high: reader.i64()? };
        Ok(Input { name, element, shape, interval })
    })?;
    let constants = list(reader, "constants", CONSTANTS_MAX, |reader| {
        let (name, element) = (reader.text("the name of a constant", NAME_BYTES_MAX)?, read_element(reader)?);
        let sizes = read_shape(reader)?.sizes();
        let sizes = sizes.ok_or(Malformed::Unknown { what: "the size of a constant", found: ROWS })?;
        Ok(ConstantForm { name, element, sizes, root: reader.digest()? })
    })?;
    let nodes = list(reader, "nodes", NODES_MAX, read_node)?;
    let outputs = list(reader, "outputs", PORTS_MAX, |reader| {
        let name = reader.text("the name of an output", NAME_BYTES_MAX)?;
        Ok(Output { name, source: read_source(reader)? })
    })?;
    Ok((Graph { inputs, constants: Vec::new(), nodes, outputs }, constants))
}

fn list<T>(
    reader: &mut Reader,
    what: &'static str,
    limit: usize,
    each: impl Fn(&mut Reader) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = reader.count(what, limit, 1)?;
    // Grows as items really arrive: an item is larger in memory than on paper.
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(each(reader)?);
    }
    Ok(items)
}

fn read_node(reader: &mut Reader) -> Result<Node, Malformed> {
    let name = reader.text("the name of a node", NAME_BYTES_MAX)?;
    let word = reader.text("the name of an operator", NAME_BYTES_MAX)?;
    let operator = ops::find(&word).ok_or(Malformed::UnknownOperator { name: word })?;
    let attributes = read_attributes(reader)?;
    let inputs = list(reader, "inputs of a node", INPUTS_MAX, read_source)?;
    Ok(Node { name, operator, attributes, inputs })
}

fn read_element(reader: &mut Reader) -> Result<Element, Malformed> {
    let code = reader.u8()?;
    Element::from_code(code).ok_or(Malformed::Unknown { what: "an element", found: code.into() })
}

fn write_shape(shape: &Shape, writer: &mut Writer) {
    writer.count(shape.rank());
    for dimension in &shape.0 {
        match dimension {
            Dimension::Fixed(size) => writer.u64(*size as u64),
            Dimension::Rows => writer.u64(ROWS),
        };
    }
}

fn read_shape(reader: &mut Reader) -> Result<Shape, Malformed> {
    let sizes = list(reader, "dimensions", Shape::RANK_MAX, |reader| {
        Ok(match reader.u64()? {
            ROWS => Dimension::Rows,
            size => match usize::try_from(size) {
                Ok(size) if size <= 1 << 40 => Dimension::Fixed(size),
                _ => return Err(Malformed::TooMany { what: "a size", found: size, limit: 1 << 40 }),
            },
        })
    })?;
    Ok(Shape(sizes))
}

fn write_source(source: Source, writer: &mut Writer) {
    match source {
        Source::Input(index) => writer.u8(1).count(index),
        Source::Constant(index) => writer.u8(2).count(index),
        Source::Node(index) => writer.u8(3).count(index),
    };
}

fn read_source(reader: &mut Reader) -> Result<Source, Malformed> {
    let (tag, index) = (reader.u8()?, reader.u32()? as usize);
    match tag {
        1 => Ok(Source::Input(index)),
        2 => Ok(Source::Constant(index)),
        3 => Ok(Source::Node(index)),
        _ => Err(Malformed::Unknown { what: "a source", found: tag.into() }),
    }
}

fn write_attributes(attributes: &Attributes, writer: &mut Writer) {
    writer.count(attributes.iter().len());
    for (name, value) in attributes.iter() {
        writer.text(name);
        match value {
            Attribute::Integer(value) => {
                writer.u8(1).i64(*value);
            }
            Attribute::Integers(values) => {
                writer.u8(2).count(values.len());
                values.iter().for_each(|&value| {
                    writer.i64(value);
                });
            }
            Attribute::Float(value) => {
                writer.u8(3).u32(value.to_bits());
            }
        }
    }
}

fn read_attributes(reader: &mut Reader) -> Result<Attributes, Malformed> {
    let pairs = list(reader, "attributes", ATTRIBUTES_MAX, |reader| {
        let name = reader.text("the name of an attribute", NAME_BYTES_MAX)?;
        let value = match reader.u8()? {
            1 => Attribute::Integer(reader.i64()?),
            2 => Attribute::Integers(list(reader, "integers", LIST_MAX, |reader| reader.i64())?),
            3 => Attribute::Float(f32::from_bits(reader.u32()?)),
            tag => return Err(Malformed::Unknown { what: "an attribute", found: tag.into() }),
        };
        Ok((name, value))
    })?;
    // The order of names is what makes the encoding one.
    if !pairs.is_sorted_by(|(one, _), (other, _)| one < other) {
        return Err(Malformed::NotCanonical { what: "the order of attributes" });
    }
    Ok(pairs.into_iter().fold(Attributes::new(), |all, (name, value)| all.with(&name, value)))
}
