//! `GraphProto`, `NodeProto`, `AttributeProto` and `ValueInfoProto`.

use super::super::error::OnnxError;
use super::super::wire::Reader;
use super::tensor::{read_sparse_tensor, read_tensor};
use super::types::read_type;
use super::{Account, LIST_MAX, TEXT_BYTES_MAX, name, once, push_floats, push_integers, standard, text};
use crate::program::{Array, Type};

#[derive(Default)]
pub(in crate::onnx) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<(&'a str, Array)>,
    pub inputs: Vec<Port<'a>>,
    pub outputs: Vec<Port<'a>>,
}

/// `ValueInfoProto`; the type is absent where the writer leaves it to be inferred.
pub(in crate::onnx) struct Port<'a> {
    pub name: &'a str,
    pub kind: Option<Type>,
}

#[derive(Default)]
pub(in crate::onnx) struct Node<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub domain: &'a str,
    pub overload: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Attribute<'a>>,
}

pub(in crate::onnx) struct Attribute<'a> {
    pub name: &'a str,
    pub content: Content<'a>,
}

pub(in crate::onnx) enum Content<'a> {
    Float(f32),
    Integer(i64),
    Text(&'a str),
    Tensor(Array),
    Graph(Box<Graph<'a>>),
    Kind(Type),
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    Texts(Vec<&'a str>),
    /// A list of tensors, which no operator takes.
    Tensors,
    /// The attribute of the surrounding function by this name.
    Reference(&'a str),
}

pub(super) fn read_graph<'a>(bytes: &'a [u8], account: &mut Account) -> Result<Graph<'a>, OnnxError> {
    account.deeper(|account| {
        let mut reader = Reader::new(bytes, "GraphProto");
        let mut graph = Graph::default();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => {
                    let node = read_node(field.bytes()?, account)?;
                    account.push(&mut graph.nodes, node)?;
                }
                5 => {
                    let tensor = read_tensor(field.bytes()?, account)?;
                    account.push(&mut graph.initializers, tensor)?;
                }
                15 => {
                    let tensor = read_sparse_tensor(field.bytes()?, account)?;
                    account.push(&mut graph.initializers, tensor)?;
                }
                11 => {
                    let port = read_port(field.bytes()?, account)?;
                    account.push(&mut graph.inputs, port)?;
                }
                12 => {
                    let port = read_port(field.bytes()?, account)?;
                    account.push(&mut graph.outputs, port)?;
                }
                _ => {}
            }
        }
        Ok(graph)
    })
}

pub(super) fn read_node<'a>(bytes: &'a [u8], account: &mut Account) -> Result<Node<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "NodeProto");
    let mut node = Node::default();
    let (mut node_name, mut kind, mut domain, mut overload) = (None, None, None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => account.push(&mut node.inputs, name(&field)?)?,
            2 => account.push(&mut node.outputs, name(&field)?)?,
            3 => once(&mut node_name, name(&field)?, &field)?,
            4 => once(&mut kind, name(&field)?, &field)?,
            5 => {
                let attribute = read_attribute(field.bytes()?, account)?;
                account.push(&mut node.attributes, attribute)?;
            }
            7 => once(&mut domain, name(&field)?, &field)?,
            8 => once(&mut overload, name(&field)?, &field)?,
            _ => {}
        }
    }
    node.name = node_name.unwrap_or("");
    node.domain = standard(domain.unwrap_or(""));
    node.overload = overload.unwrap_or("");
    node.kind = kind.ok_or(OnnxError::Missing { message: "NodeProto", field: "op_type" })?;
    Ok(node)
}

fn read_port<'a>(bytes: &'a [u8], account: &mut Account) -> Result<Port<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "ValueInfoProto");
    let (mut port_name, mut kind) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut port_name, name(&field)?, &field)?,
            2 => once(&mut kind, read_type(field.bytes()?, account)?, &field)?,
            _ => {}
        }
    }
    let port_name = port_name.ok_or(OnnxError::Missing { message: "ValueInfoProto", field: "name" })?;
    Ok(Port { name: port_name, kind: kind.flatten() })
}

/// An attribute's fields as they lie, before its type says which one counts.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<i64>,
    float: Option<f32>,
    integer: Option<i64>,
    text: Option<&'a str>,
    tensor: Option<Array>,
    graph: Option<Graph<'a>>,
    declared: Option<Option<Type>>,
    floats: Vec<f32>,
    integers: Vec<i64>,
    texts: Vec<&'a str>,
    tensors: Vec<Array>,
    reference: Option<&'a str>,
}

pub(super) fn read_attribute<'a>(bytes: &'a [u8], account: &mut Account) -> Result<Attribute<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "AttributeProto");
    let (mut attribute_name, mut fields) = (None, Fields::default());
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut attribute_name, name(&field)?, &field)?,
            2 => once(&mut fields.float, field.float()?, &field)?,
            3 => once(&mut fields.integer, field.signed()?, &field)?,
            4 => once(&mut fields.text, text(&field, TEXT_BYTES_MAX)?, &field)?,
            5 => once(&mut fields.tensor, read_tensor(field.bytes()?, account)?.1, &field)?,
            6 => once(&mut fields.graph, read_graph(field.bytes()?, account)?, &field)?,
            7 => push_floats(&mut fields.floats, &field, LIST_MAX)?,
            8 => {
                account.taken.list(&field)?;
                push_integers(&mut fields.integers, &field, LIST_MAX)?;
            }
            9 => account.push(&mut fields.texts, text(&field, TEXT_BYTES_MAX)?)?,
            10 => {
                let (_, tensor) = read_tensor(field.bytes()?, account)?;
                account.push(&mut fields.tensors, tensor)?;
            }
            14 => once(&mut fields.declared, read_type(field.bytes()?, account)?, &field)?,
            20 => once(&mut fields.kind, field.signed()?, &field)?,
            21 => once(&mut fields.reference, name(&field)?, &field)?,
            22 => once(&mut fields.tensor, read_sparse_tensor(field.bytes()?, account)?.1, &field)?,
            11 | 15 | 23 => return Err(OnnxError::Refused { what: "a list of graphs, types or sparse tensors" }),
            _ => {}
        }
    }
    let name = attribute_name.ok_or(OnnxError::Missing { message: "AttributeProto", field: "name" })?;
    let content = fields.content();
    let content =
        content.ok_or(OnnxError::Missing { message: "AttributeProto", field: "content of the stated type" })?;
    Ok(Attribute { name, content })
}

impl<'a> Fields<'a> {
    /// The content that the stated type names. A zero, an empty text and an empty list may be left out by writers; a file
    /// from before types were stated has exactly one content.
    fn content(self) -> Option<Content<'a>> {
        if let Some(reference) = self.reference.filter(|reference| !reference.is_empty()) {
            return Some(Content::Reference(reference));
        }
        Some(match self.kind.unwrap_or(0) {
            0 => return self.only(),
            1 => Content::Float(self.float.unwrap_or(0.0)),
            2 => Content::Integer(self.integer.unwrap_or(0)),
            3 => Content::Text(self.text.unwrap_or("")),
            4 | 11 => Content::Tensor(self.tensor?),
            5 => Content::Graph(Box::new(self.graph?)),
            6 => Content::Floats(self.floats),
            7 => Content::Integers(self.integers),
            8 => Content::Texts(self.texts),
            9 => Content::Tensors,
            13 => Content::Kind(self.declared??),
            _ => return None,
        })
    }

    fn only(self) -> Option<Content<'a>> {
        let some = [
            self.float.map(Content::Float),
            self.integer.map(Content::Integer),
            self.text.map(Content::Text),
            self.tensor.map(Content::Tensor),
            self.graph.map(|graph| Content::Graph(Box::new(graph))),
            Some(self.floats).filter(|list| !list.is_empty()).map(Content::Floats),
            Some(self.integers).filter(|list| !list.is_empty()).map(Content::Integers),
            Some(self.texts).filter(|list| !list.is_empty()).map(Content::Texts),
            Some(Content::Tensors).filter(|_| !self.tensors.is_empty()),
        ];
        let mut some = some.into_iter().flatten();
        some.next().filter(|_| some.next().is_none())
    }
}
