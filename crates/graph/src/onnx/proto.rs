//! The part of `onnx.proto` that an exact graph can come from, decoded within fixed bounds.
//!
//! Reads no control flow (graph attributes are refused), no training part, no functions, and no field twice: where two
//! readers could understand a file differently, it is refused. Names borrow from the file; only numbers are copied, and
//! each list is bounded before it grows.

use super::error::OnnxError;
use super::external::{OnnxFile, Place, Taken};
use super::wire::{Content, FILE_BYTES_MAX, Field, Reader, bounded, once};

/// Most nodes, initializers, inputs or outputs of a graph.
pub const GRAPH_ITEMS_MAX: usize = 16_384;
/// Most inputs, outputs or attributes of a node.
pub const NODE_ITEMS_MAX: usize = 64;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Most dimensions of a tensor.
pub const RANK_MAX: usize = 8;
/// Most elements of one tensor.
pub const ELEMENTS_MAX: usize = 1 << 26;
/// Most integers in a list (shapes, axes) or an integer tensor.
pub const INTEGERS_MAX: usize = 1024;

/// `ModelProto`.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub opset: i64,
    pub graph: Graph<'a>,
}

/// `GraphProto`.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<Tensor<'a>>,
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
}

/// `NodeProto`, of the standard domain.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Attribute<'a>>,
}

/// `AttributeProto`.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub name: &'a str,
    pub value: AttributeValue<'a>,
}

/// The content of an attribute.
#[derive(Debug)]
pub(super) enum AttributeValue<'a> {
    Float(f32),
    Integer(i64),
    Integers(Vec<i64>),
    Tensor(Tensor<'a>),
    /// A kind of content that no operator of the table takes; refused, with its name, by the operator that meets it.
    Other,
}

/// `TensorProto`, decoded.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub shape: Vec<usize>,
    pub elements: Elements,
}

/// The numbers of a tensor, row by row.
#[derive(Debug, PartialEq)]
pub(super) enum Elements {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// `ValueInfoProto` of a tensor.
#[derive(Debug)]
pub(super) struct ValueInfo<'a> {
    pub name: &'a str,
    pub element_type: i64,
    /// Absent where the writer leaves it to be inferred.
    pub shape: Option<Vec<Dimension<'a>>>,
}

/// A dimension as the file states it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Dimension<'a> {
    Fixed(usize),
    Symbol(&'a str),
}

/// `TensorProto.DataType.FLOAT`.
pub(super) const TYPE_FLOAT: i64 = 1;
/// `TensorProto.DataType.INT64`.
pub(super) const TYPE_INT64: i64 = 7;

/// Decodes a whole file.
pub(super) fn read_model(file: OnnxFile<'_>) -> Result<Model<'_>, OnnxError> {
    bounded("bytes in the file", file.bytes.len(), FILE_BYTES_MAX)?;
    let taken = &mut Taken::of(file.sidecars);
    let mut reader = Reader::new(file.bytes, "ModelProto");
    let (mut opset, mut graph) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            7 => once(&mut graph, read_graph(field.bytes()?, taken)?, &field)?,
            8 => {
                if let Some(version) = read_opset(field.bytes()?)? {
                    once(&mut opset, version, &field)?;
                }
            }
            20 => return Err(OnnxError::Refused { what: "training information" }),
            25 => return Err(OnnxError::Refused { what: "a model-local function" }),
            _ => {}
        }
    }
    let opset = opset.ok_or(OnnxError::Missing { message: "ModelProto", field: "opset_import" })?;
    let graph = graph.ok_or(OnnxError::Missing { message: "ModelProto", field: "graph" })?;
    Ok(Model { opset, graph })
}

/// The version, where the entry is for the standard domain.
fn read_opset(bytes: &[u8]) -> Result<Option<i64>, OnnxError> {
    let mut reader = Reader::new(bytes, "OperatorSetIdProto");
    let (mut domain, mut version) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut domain, name(&field)?, &field)?,
            2 => once(&mut version, field.signed()?, &field)?,
            _ => {}
        }
    }
    Ok(if is_standard(domain.unwrap_or("")) { version } else { None })
}

fn read_graph<'a>(bytes: &'a [u8], taken: &mut Taken) -> Result<Graph<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "GraphProto");
    let mut graph = Graph::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => push(&mut graph.nodes, read_node(field.bytes()?, taken)?, "nodes", GRAPH_ITEMS_MAX)?,
            5 => push(&mut graph.initializers, read_tensor(field.bytes()?, taken)?, "initializers", GRAPH_ITEMS_MAX)?,
            11 => push(&mut graph.inputs, read_value_info(field.bytes()?)?, "graph inputs", GRAPH_ITEMS_MAX)?,
            12 => push(&mut graph.outputs, read_value_info(field.bytes()?)?, "graph outputs", GRAPH_ITEMS_MAX)?,
            14 => return Err(OnnxError::Refused { what: "a quantization annotation" }),
            15 => return Err(OnnxError::Refused { what: "a sparse initializer" }),
            _ => {}
        }
    }
    Ok(graph)
}

fn read_node<'a>(bytes: &'a [u8], taken: &mut Taken) -> Result<Node<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "NodeProto");
    let (mut node, mut node_name, mut kind, mut domain) = (Node::default(), None, None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => push(&mut node.inputs, name(&field)?, "inputs of a node", NODE_ITEMS_MAX)?,
            2 => push(&mut node.outputs, name(&field)?, "outputs of a node", NODE_ITEMS_MAX)?,
            3 => once(&mut node_name, name(&field)?, &field)?,
            4 => once(&mut kind, name(&field)?, &field)?,
            5 => push(
                &mut node.attributes,
                read_attribute(field.bytes()?, taken)?,
                "attributes of a node",
                NODE_ITEMS_MAX,
            )?,
            7 => once(&mut domain, name(&field)?, &field)?,
            _ => {}
        }
    }
    if !is_standard(domain.unwrap_or("")) {
        return Err(OnnxError::Refused { what: "an operator of a domain other than the standard one" });
    }
    node.name = node_name.unwrap_or("");
    node.kind = kind.ok_or(OnnxError::Missing { message: "NodeProto", field: "op_type" })?;
    Ok(node)
}

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn read_attribute<'a>(bytes: &'a [u8], taken: &mut Taken) -> Result<Attribute<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "AttributeProto");
    let (mut attribute_name, mut kind, mut value, mut integers) = (None, None, None, Vec::new());
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut attribute_name, name(&field)?, &field)?,
            20 => once(&mut kind, field.signed()?, &field)?,
            2 => once(&mut value, AttributeValue::Float(field.float()?), &field)?,
            3 => once(&mut value, AttributeValue::Integer(field.signed()?), &field)?,
            5 => once(&mut value, AttributeValue::Tensor(read_tensor(field.bytes()?, taken)?), &field)?,
            8 => {
                taken.list(&field)?;
                push_integers(&mut integers, &field, "integers of an attribute", INTEGERS_MAX)?;
            }
            // Text; lists of floats, texts, tensors; a graph; a sparse tensor; a type; a reference to a function's attribute.
            4 | 6 | 7 | 9 | 10 | 11 | 14 | 15 | 21 | 22 | 23 => _ = value.get_or_insert(AttributeValue::Other),
            _ => {}
        }
    }
    let attribute_name = attribute_name.ok_or(OnnxError::Missing { message: "AttributeProto", field: "name" })?;
    let value = typed(kind.unwrap_or(0), value, integers)
        .ok_or(OnnxError::Missing { message: "AttributeProto", field: "content of the stated type" })?;
    Ok(Attribute { name: attribute_name, value })
}

/// The attribute's content if it is what its type says. An absent zero is a zero, as writers may leave it out.
fn typed<'a>(kind: i64, value: Option<AttributeValue<'a>>, integers: Vec<i64>) -> Option<AttributeValue<'a>> {
    match (kind, value) {
        (1, None) => Some(AttributeValue::Float(0.0)),
        (2, None) => Some(AttributeValue::Integer(0)),
        (7, None) => Some(AttributeValue::Integers(integers)),
        (1, Some(value @ AttributeValue::Float(_)))
        | (2, Some(value @ AttributeValue::Integer(_)))
        | (4, Some(value @ AttributeValue::Tensor(_)))
            if integers.is_empty() =>
        {
            Some(value)
        }
        (3 | 5 | 6 | 8..=14, _) => Some(AttributeValue::Other),
        _ => None,
    }
}

fn read_tensor<'a>(bytes: &'a [u8], taken: &mut Taken) -> Result<Tensor<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "TensorProto");
    let (mut tensor_name, mut kind, mut dims, mut place) = (None, None, Vec::new(), Place::default());
    let (mut raw, mut floats, mut integers) = (None, None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => push_integers(&mut dims, &field, "dimensions of a tensor", RANK_MAX)?,
            2 => once(&mut kind, field.signed()?, &field)?,
            4 => once(&mut floats, field.bytes()?, &field)?,
            7 => once(&mut integers, field.bytes()?, &field)?,
            8 => once(&mut tensor_name, name(&field)?, &field)?,
            9 => once(&mut raw, field.bytes()?, &field)?,
            13 | 14 => place.take(&field)?,
            3 => return Err(OnnxError::Refused { what: "a tensor in segments" }),
            _ => {}
        }
    }
    let tensor_name = tensor_name.unwrap_or("");
    let (shape, count) = read_shape(tensor_name, &dims)?;
    let width = match kind.unwrap_or(0) {
        TYPE_FLOAT => size_of::<f32>(),
        TYPE_INT64 => size_of::<i64>(),
        found => return Err(OnnxError::ElementType { tensor: tensor_name.into(), found }),
    };
    let is_here = raw.is_some() || floats.is_some() || integers.is_some();
    let outside = taken.external(tensor_name, &place, count.checked_mul(width), is_here)?;
    let elements = match (kind.unwrap_or(0), outside.as_deref().or(raw), floats, integers) {
        (TYPE_FLOAT, Some(data), None, None) | (TYPE_FLOAT, None, Some(data), None) => {
            Elements::Floats(read_floats(tensor_name, data, count)?)
        }
        (TYPE_INT64, Some(data), None, None) => Elements::Integers(read_raw_integers(tensor_name, data, count)?),
        (TYPE_INT64, None, None, Some(data)) => Elements::Integers(read_packed_integers(tensor_name, data, count)?),
        _ => return Err(OnnxError::TensorData { tensor: tensor_name.into(), expected: count, found: 0 }),
    };
    Ok(Tensor { name: tensor_name, shape, elements })
}

/// The shape and the number of its elements, each dimension at least 1 and the product within bounds.
fn read_shape(tensor: &str, dims: &[i64]) -> Result<(Vec<usize>, usize), OnnxError> {
    let mut count = 1usize;
    let mut shape = Vec::with_capacity(dims.len());
    for &dim in dims {
        let size = read_dimension(tensor, dim)?;
        count = count.checked_mul(size).filter(|&count| count <= ELEMENTS_MAX).ok_or(OnnxError::TooMany {
            what: "elements of a tensor",
            found: usize::MAX,
            limit: ELEMENTS_MAX,
        })?;
        shape.push(size);
    }
    Ok((shape, count))
}

fn read_dimension(tensor: &str, dim: i64) -> Result<usize, OnnxError> {
    usize::try_from(dim)
        .ok()
        .filter(|&size| size >= 1)
        .ok_or_else(|| OnnxError::BadDimension { tensor: tensor.into(), found: dim })
}

/// Raw data and packed floats are the same bytes: little-endian f32.
fn read_floats(tensor: &str, data: &[u8], count: usize) -> Result<Vec<f32>, OnnxError> {
    let (chunks, rest) = data.as_chunks::<4>();
    if chunks.len() != count || !rest.is_empty() {
        return Err(OnnxError::TensorData { tensor: tensor.into(), expected: count, found: chunks.len() });
    }
    Ok(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect())
}

fn read_raw_integers(tensor: &str, data: &[u8], count: usize) -> Result<Vec<i64>, OnnxError> {
    bounded("integers of a tensor", count, INTEGERS_MAX)?;
    let (chunks, rest) = data.as_chunks::<8>();
    if chunks.len() != count || !rest.is_empty() {
        return Err(OnnxError::TensorData { tensor: tensor.into(), expected: count, found: chunks.len() });
    }
    Ok(chunks.iter().map(|&chunk| i64::from_le_bytes(chunk)).collect())
}

fn read_packed_integers(tensor: &str, data: &[u8], count: usize) -> Result<Vec<i64>, OnnxError> {
    bounded("integers of a tensor", count, INTEGERS_MAX)?;
    let mut reader = Reader::new(data, "TensorProto.int64_data");
    let mut integers = Vec::new();
    while let Some(value) = reader.packed_varint()? {
        push(&mut integers, value.cast_signed(), "integers of a tensor", INTEGERS_MAX)?;
    }
    if integers.len() != count {
        return Err(OnnxError::TensorData { tensor: tensor.into(), expected: count, found: integers.len() });
    }
    Ok(integers)
}

fn read_value_info(bytes: &[u8]) -> Result<ValueInfo<'_>, OnnxError> {
    let mut reader = Reader::new(bytes, "ValueInfoProto");
    let (mut value_name, mut tensor_type) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut value_name, name(&field)?, &field)?,
            2 => once(&mut tensor_type, read_type(field.bytes()?)?, &field)?,
            _ => {}
        }
    }
    let value_name = value_name.ok_or(OnnxError::Missing { message: "ValueInfoProto", field: "name" })?;
    let (element_type, shape) = tensor_type.ok_or(OnnxError::Missing { message: "ValueInfoProto", field: "type" })?;
    Ok(ValueInfo { name: value_name, element_type, shape })
}

fn read_type(bytes: &[u8]) -> Result<(i64, Option<Vec<Dimension<'_>>>), OnnxError> {
    let mut reader = Reader::new(bytes, "TypeProto");
    let mut tensor_type = None;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut tensor_type, read_tensor_type(field.bytes()?)?, &field)?,
            4 | 5 | 7 | 8 | 9 => return Err(OnnxError::Refused { what: "a sequence, map, optional or sparse value" }),
            _ => {}
        }
    }
    tensor_type.ok_or(OnnxError::Missing { message: "TypeProto", field: "tensor_type" })
}

fn read_tensor_type(bytes: &[u8]) -> Result<(i64, Option<Vec<Dimension<'_>>>), OnnxError> {
    let mut reader = Reader::new(bytes, "TypeProto.Tensor");
    let (mut element_type, mut shape) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut element_type, field.signed()?, &field)?,
            2 => once(&mut shape, read_dimensions(field.bytes()?)?, &field)?,
            _ => {}
        }
    }
    Ok((element_type.unwrap_or(0), shape))
}

fn read_dimensions(bytes: &[u8]) -> Result<Vec<Dimension<'_>>, OnnxError> {
    let mut reader = Reader::new(bytes, "TensorShapeProto");
    let mut dimensions = Vec::new();
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            push(&mut dimensions, read_stated_dimension(field.bytes()?)?, "dimensions of a value", RANK_MAX)?;
        }
    }
    Ok(dimensions)
}

fn read_stated_dimension(bytes: &[u8]) -> Result<Dimension<'_>, OnnxError> {
    let mut reader = Reader::new(bytes, "TensorShapeProto.Dimension");
    let mut dimension = None;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut dimension, Dimension::Fixed(read_dimension("", field.signed()?)?), &field)?,
            2 => once(&mut dimension, Dimension::Symbol(name(&field)?), &field)?,
            _ => {}
        }
    }
    Ok(dimension.unwrap_or(Dimension::Symbol("")))
}

fn name<'a>(field: &Field<'a>) -> Result<&'a str, OnnxError> {
    field.text("bytes in a name", NAME_BYTES_MAX)
}

fn push<T>(list: &mut Vec<T>, value: T, what: &'static str, limit: usize) -> Result<(), OnnxError> {
    bounded(what, list.len().saturating_add(1), limit)?;
    list.push(value);
    Ok(())
}

/// A repeated int64: one varint a field, or packed.
fn push_integers(list: &mut Vec<i64>, field: &Field<'_>, what: &'static str, limit: usize) -> Result<(), OnnxError> {
    match field.content {
        Content::Varint(value) => push(list, value.cast_signed(), what, limit),
        Content::Bytes(bytes) => {
            let mut reader = Reader::new(bytes, field.message);
            while let Some(value) = reader.packed_varint()? {
                push(list, value.cast_signed(), what, limit)?;
            }
            Ok(())
        }
        Content::Fixed32(_) | Content::Fixed64(_) => field.signed().map(|_| ()),
    }
}
