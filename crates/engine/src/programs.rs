//! Programs behind the front door of tensor models: protocol tensors in and out.
//!
//! A run is bounded by accounts that are part of its meaning, so a model that asks for too much is refused the same way
//! everywhere.

use graph::program::{Array, Element, Limits, Port as Declared, Program, Type, Value, value::Size};
use protocol::Tensor;

use crate::{
    cpu::Level,
    language::RunError,
    load::LoadError,
    port::{Port, answer},
    program_ops,
};

/// An input or output as a caller sees it; only tensors of elements that requests carry can be one.
pub fn port(declared: &Declared) -> Result<Port, LoadError> {
    let refused = |element| LoadError::Port { name: declared.name.clone(), element };
    let Type::Tensor { element, shape } = &declared.kind else { return Err(refused("that are no tensor")) };
    let size = |size: &Size| match size {
        Size::Fixed(size) => Some(*size as u64),
        Size::Free(_) => None,
    };
    let shape = shape.iter().flatten().map(size).collect();
    let element = to_wire(*element).ok_or_else(|| refused(element.name()))?;
    Ok(Port { name: declared.name.clone(), element, shape })
}

/// Runs a program on inputs in the order of its ports.
pub fn run(program: &Program, level: Level, inputs: &[(&Port, &Tensor)]) -> Result<Vec<Tensor>, RunError> {
    let values: Result<Vec<Value>, RunError> = inputs.iter().map(|(port, tensor)| read(port, tensor)).collect();
    let outputs = program.run_with(values?, Limits::default(), program_ops::pick(level), None)?;
    program.outputs.iter().zip(&outputs).map(|(port, value)| write(port, value)).collect()
}

fn read(port: &Port, tensor: &Tensor) -> Result<Value, RunError> {
    let name = port.name.clone();
    if tensor.element != port.element {
        let (expected, found) = (port.element.word(), tensor.element.word());
        return Err(RunError::Element { name, expected, found });
    }
    let sizes: Vec<usize> = tensor.shape.iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
    Array::from_bytes(from_wire(port.element), &sizes, &tensor.data).map(Value::from).ok_or_else(|| {
        let count = sizes.iter().try_fold(port.element.bytes(), |all, &size| all.checked_mul(size));
        let (shape, found) = (tensor.shape.to_vec(), tensor.data.len());
        RunError::DataLength { name, shape, expected: count.unwrap_or(usize::MAX), found }
    })
}

fn write(port: &Declared, value: &Value) -> Result<Tensor, RunError> {
    let refused = || RunError::OutputSize { name: port.name.clone(), cause: format!("an answer cannot carry {value}") };
    let array = value.as_tensor().ok_or_else(refused)?;
    let element = to_wire(array.element()).ok_or_else(refused)?;
    answer(&port.name, element, array.shape().iter().map(|&size| size as u64).collect(), array.to_bytes())
}

fn to_wire(element: Element) -> Option<protocol::Element> {
    match element {
        Element::F32 => Some(protocol::Element::F32),
        Element::F64 => Some(protocol::Element::F64),
        Element::I8 => Some(protocol::Element::I8),
        Element::U8 => Some(protocol::Element::U8),
        Element::I32 => Some(protocol::Element::I32),
        Element::I64 => Some(protocol::Element::I64),
        Element::Bool => Some(protocol::Element::Bool),
        _ => None,
    }
}

fn from_wire(element: protocol::Element) -> Element {
    match element {
        protocol::Element::F32 => Element::F32,
        protocol::Element::F64 => Element::F64,
        protocol::Element::I8 => Element::I8,
        protocol::Element::U8 => Element::U8,
        protocol::Element::I32 => Element::I32,
        protocol::Element::I64 => Element::I64,
        protocol::Element::Bool => Element::Bool,
    }
}
