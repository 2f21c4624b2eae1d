//! An ONNX file as a model, in one call: the same bytes in give the same artefact out.

use super::error::CompileError;
use super::external::OnnxFile;
use super::layers::{self, Pick};
use super::{import, import_program, integer};
use crate::Format;
use crate::artefact::{Model, Purpose};
use crate::graph::Checked;
use crate::program::{self, Type, value::Size};
use crate::tensor::{Element, Tensor};

/// Which arithmetic a model is compiled to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    /// Floats in a specified order, the file's own weights: a static graph where the file is one, else a program.
    Ordered,
    /// Integers alone between the floats of the caller: what can be proven.
    Integer,
}

/// What a tensor model is compiled from.
#[derive(Clone, Copy, Debug)]
pub struct OnnxSources<'a> {
    pub name: &'a str,
    pub arithmetic: Arithmetic,
    pub file: OnnxFile<'a>,
    /// Sets of inputs, in the order of the model's inputs, that set the static scales; unused by the ordered form.
    pub calibration: &'a [Vec<Tensor>],
    /// The most rows that one call may have.
    pub rows_max: usize,
}

/// Compiles an ONNX file.
pub fn compile_onnx(sources: &OnnxSources) -> Result<Model, CompileError> {
    compile_onnx_with(sources, layers::meanings)
}

/// The same, calibrated by kernels that have the bits of the meanings.
pub fn compile_onnx_with(sources: &OnnxSources, pick: Pick) -> Result<Model, CompileError> {
    let ordered = match (import(sources.file), sources.arithmetic) {
        (Ok(graph), Arithmetic::Ordered) => graph.check(sources.rows_max)?,
        (Ok(graph), Arithmetic::Integer) if integer::covers(&graph) => graph.check(sources.rows_max)?,
        // What no static graph can hold is a program.
        (Err(_), Arithmetic::Ordered) => return program(sources),
        (_, Arithmetic::Integer) => return layered(sources, pick),
    };
    let parameters = parameters(&ordered);
    let graph = match sources.arithmetic {
        Arithmetic::Ordered => ordered,
        Arithmetic::Integer => integer::quantised(&ordered, sources.calibration)?.check(sources.rows_max)?,
    };
    Ok(Model { name: sources.name.to_owned(), parameters, graph, purpose: Purpose::Tensors })
}

/// A name, an element and sizes, `None` where the call chooses, of each input that a file's integer form takes.
pub type Inputs = Vec<(String, Element, Vec<Option<usize>>)>;

/// The inputs of a file, in their order.
pub fn onnx_inputs<'a>(file: impl Into<OnnxFile<'a>>) -> Result<Inputs, CompileError> {
    let program = import_program(file)?;
    let each = program.inputs.iter().map(|port| {
        let element = match &port.kind {
            Type::Tensor { element, .. } => match element {
                program::Element::F32 => Some(Element::F32),
                program::Element::I32 => Some(Element::I32),
                program::Element::I64 => Some(Element::I64),
                _ => None,
            },
            _ => None,
        };
        let Type::Tensor { shape, .. } = &port.kind else { return None };
        let size = |size: &Size| if let Size::Fixed(size) = size { Some(*size) } else { None };
        Some((port.name.clone(), element?, shape.iter().flatten().map(size).collect()))
    });
    let inputs: Option<Inputs> = each.collect();
    inputs.ok_or_else(|| CompileError::Layer {
        node: "an input".to_owned(),
        problem: "is no tensor of f32, i32 or i64, which an integer model could take".to_owned(),
    })
}

/// An integer graph from the program that the file is.
fn layered(sources: &OnnxSources, pick: Pick) -> Result<Model, CompileError> {
    let program = import_program(sources.file)?;
    let floats = program.constants.iter().filter(|constant| constant.element().is_real());
    let parameters = floats.map(|constant| constant.len() as u64).sum();
    let graph = layers::quantised(&program, sources.calibration, pick)?.check(sources.rows_max)?;
    Ok(Model { name: sources.name.to_owned(), parameters, graph, purpose: Purpose::Tensors })
}

fn program(sources: &OnnxSources) -> Result<Model, CompileError> {
    let program = import_program(sources.file)?;
    let floats = program.constants.iter().filter(|constant| constant.element().is_real());
    let parameters = floats.map(|constant| constant.len() as u64).sum();
    Ok(Model::of_program(sources.name, parameters, program))
}

/// How many constant floats the file's graph uses.
fn parameters(ordered: &Checked) -> u64 {
    let is_float = |element| matches!(element, Element::F32 | Element::Packed(Format::F32));
    let constants = ordered.graph().constants.iter().filter(|constant| is_float(constant.tensor.element()));
    constants.map(|constant| constant.tensor.len() as u64).sum()
}
