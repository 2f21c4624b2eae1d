//! `ModelProto` and `FunctionProto`.

use std::collections::BTreeMap;

use super::super::error::OnnxError;
use super::super::external::OnnxFile;
use super::super::wire::{FILE_BYTES_MAX, Reader};
use super::graph::{Attribute, Graph, Node, read_attribute, read_graph, read_node};
use super::{Account, bounded, name, once, standard};

/// Versions of operator sets, by domain.
pub(in crate::onnx) type Opsets<'a> = BTreeMap<&'a str, i64>;

pub(in crate::onnx) struct Model<'a> {
    pub opsets: Opsets<'a>,
    pub graph: Graph<'a>,
    pub functions: Vec<Function<'a>>,
}

/// `FunctionProto`: an operator that the model defines itself.
#[derive(Default)]
pub(in crate::onnx) struct Function<'a> {
    pub domain: &'a str,
    pub name: &'a str,
    pub overload: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    /// Attributes with their defaults.
    pub defaults: Vec<Attribute<'a>>,
    pub nodes: Vec<Node<'a>>,
    pub opsets: Opsets<'a>,
}

/// Decodes a whole file.
pub(in crate::onnx) fn read_model(file: OnnxFile<'_>) -> Result<Model<'_>, OnnxError> {
    bounded("bytes in the file", file.bytes.len(), FILE_BYTES_MAX)?;
    let account = &mut Account::of(file.sidecars);
    let mut reader = Reader::new(file.bytes, "ModelProto");
    let (mut opsets, mut graph, mut functions) = (Opsets::new(), None, Vec::new());
    while let Some(field) = reader.next()? {
        match field.number {
            7 => once(&mut graph, read_graph(field.bytes()?, account)?, &field)?,
            8 => read_opset(field.bytes()?, &mut opsets)?,
            20 => return Err(OnnxError::Refused { what: "training information" }),
            25 => {
                let function = read_function(field.bytes()?, account)?;
                account.push(&mut functions, function)?;
            }
            _ => {}
        }
    }
    if opsets.is_empty() {
        return Err(OnnxError::Missing { message: "ModelProto", field: "opset_import" });
    }
    let graph = graph.ok_or(OnnxError::Missing { message: "ModelProto", field: "graph" })?;
    Ok(Model { opsets, graph, functions })
}

fn read_opset<'a>(bytes: &'a [u8], opsets: &mut Opsets<'a>) -> Result<(), OnnxError> {
    let mut reader = Reader::new(bytes, "OperatorSetIdProto");
    let (mut domain, mut version) = (None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut domain, name(&field)?, &field)?,
            2 => once(&mut version, field.signed()?, &field)?,
            _ => {}
        }
    }
    let domain = standard(domain.unwrap_or(""));
    let version = version.ok_or(OnnxError::Missing { message: "OperatorSetIdProto", field: "version" })?;
    match opsets.insert(domain, version) {
        Some(other) if other != version => Err(OnnxError::Twice { message: "ModelProto", field: 8 }),
        _ => bounded("operator sets", opsets.len(), 256),
    }
}

fn read_function<'a>(bytes: &'a [u8], account: &mut Account) -> Result<Function<'a>, OnnxError> {
    let mut reader = Reader::new(bytes, "FunctionProto");
    let mut function = Function::default();
    let (mut function_name, mut domain, mut overload) = (None, None, None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => once(&mut function_name, name(&field)?, &field)?,
            4 => account.push(&mut function.inputs, name(&field)?)?,
            5 => account.push(&mut function.outputs, name(&field)?)?,
            7 => {
                let node = read_node(field.bytes()?, account)?;
                account.push(&mut function.nodes, node)?;
            }
            9 => read_opset(field.bytes()?, &mut function.opsets)?,
            10 => once(&mut domain, name(&field)?, &field)?,
            11 => {
                let attribute = read_attribute(field.bytes()?, account)?;
                account.push(&mut function.defaults, attribute)?;
            }
            13 => once(&mut overload, name(&field)?, &field)?,
            _ => {}
        }
    }
    function.name = function_name.ok_or(OnnxError::Missing { message: "FunctionProto", field: "name" })?;
    function.domain = standard(domain.unwrap_or(""));
    function.overload = overload.unwrap_or("");
    Ok(function)
}
