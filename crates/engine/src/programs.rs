//! Programs behind the front door of tensor models: protocol tensors in and out.
//!
//! A run is bounded by accounts that are part of its meaning, so a model that asks for too much is refused the same way
//! everywhere.

use std::sync::atomic::{AtomicBool, Ordering};

use graph::program::{
    Array, By, Crew, Element, Limits, Node, Port as Declared, Program, ProgramFault, Type, Value, machine::Watch,
    value::Size,
};
use protocol::Tensor;

use crate::{
    cpu::Level,
    kernel::{Stays, Threads},
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

/// The outputs as a caller sees them. A sequence of maps (what classifiers give by label) becomes a table and, beside it, the keys of its columns.
pub fn outputs(declared: &[Declared]) -> Result<Vec<Port>, LoadError> {
    let mut ports = Vec::new();
    for declared in declared {
        let Some((key, value)) = table_of(&declared.kind) else {
            ports.push(port(declared)?);
            continue;
        };
        let element = |element: Element| {
            let refused = LoadError::Port { name: declared.name.clone(), element: element.name() };
            to_wire(element).ok_or(refused)
        };
        ports.push(Port { name: declared.name.clone(), element: element(value)?, shape: vec![None, None] });
        ports.push(Port { name: format!("{}.keys", declared.name), element: element(key)?, shape: vec![None] });
    }
    Ok(ports)
}

/// The elements of keys and values, where a type is a sequence of maps to single values.
fn table_of(kind: &Type) -> Option<(Element, Element)> {
    let Type::Sequence(inner) = kind else { return None };
    let Type::Map { key, value } = inner.as_ref() else { return None };
    match value.as_ref() {
        Type::Tensor { element, .. } => Some((*key, *element)),
        _ => None,
    }
}

/// What programs of a model run on.
pub struct Machine {
    pub level: Level,
    pub threads: Threads,
}

impl Machine {
    fn hands<'run>(&'run self, stays: Stays<'run>) -> Hands<'run> {
        Hands { threads: &self.threads, stays, left: AtomicBool::new(false) }
    }
}

/// The threads of a model, for one run.
struct Hands<'run> {
    threads: &'run Threads,
    stays: Stays<'run>,
    left: AtomicBool,
}

impl Crew for Hands<'_> {
    fn count(&self) -> usize {
        self.threads.count()
    }

    fn pieces(&self, count: usize, each: &(dyn Fn(usize) + Sync)) {
        self.threads.pieces(count, |piece| {
            if self.stays() {
                each(piece);
            }
        });
    }

    fn stays(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed) || !(self.stays)();
        if left {
            self.left.store(true, Ordering::Relaxed);
        }
        !left
    }
}

/// Runs a program on values in the order of its ports.
pub fn run_values<'run>(
    program: &'run Program,
    machine: &'run Machine,
    limits: Limits,
    inputs: Vec<Value>,
    watch: Option<Watch<'run>>,
) -> Result<Vec<Value>, ProgramFault> {
    let (hands, mut watch) = (machine.hands(&|| true), watch);
    // The hands live for this run alone, the watch for longer.
    let mut told = |node: &Node, outputs: &[Value]| watch.as_mut().is_none_or(|watch| watch(node, outputs));
    run_by(program, machine.level, limits, &hands, inputs, Some(&mut told))
}

fn run_by<'run>(
    program: &'run Program,
    level: Level,
    limits: Limits,
    crew: &'run dyn Crew,
    inputs: Vec<Value>,
    watch: Option<Watch<'run>>,
) -> Result<Vec<Value>, ProgramFault> {
    program.run_by(inputs, limits, By { pick: program_ops::pick(level), crew }, watch)
}

/// Runs a program on inputs in the order of its ports, for as long as `stays` says: whoever has left is noticed within a node.
pub fn run(
    program: &Program,
    machine: &Machine,
    limits: Limits,
    inputs: &[(&Port, &Tensor)],
    stays: Stays,
) -> Result<Vec<Tensor>, RunError> {
    let values: Result<Vec<Value>, RunError> = inputs.iter().map(|(port, tensor)| read(port, tensor)).collect();
    let hands = machine.hands(stays);
    let outputs = match run_by(program, machine.level, limits, &hands, values?, None) {
        Err(_) if !hands.stays() => return Err(RunError::Interrupted),
        ran => ran?,
    };
    let mut tensors = Vec::new();
    for (port, value) in program.outputs.iter().zip(&outputs) {
        match (table_of(&port.kind), value) {
            (Some((key, element)), Value::Sequence(rows)) => tensors.extend(table(port, rows, key, element)?),
            _ => tensors.push(write(port, value)?),
        }
    }
    Ok(tensors)
}

/// Rows of maps with equal keys as their values, and the keys.
fn table(port: &Declared, rows: &[Value], key: Element, element: Element) -> Result<[Tensor; 2], RunError> {
    let refused = |what: &str| {
        let cause = format!("an answer cannot carry {what}");
        RunError::OutputSize { name: port.name.clone(), cause }
    };
    let mut bytes = Vec::new();
    let mut keys: Option<&Array> = None;
    for row in rows {
        let Value::Map(own, values) = row else { return Err(refused(row.name())) };
        if **keys.get_or_insert(own) != **own {
            return Err(refused("maps of different keys"));
        }
        bytes.extend(values.to_bytes());
    }
    let wire = |element: Element| to_wire(element).ok_or_else(|| refused(element.name()));
    let columns = keys.map_or(0, Array::len) as u64;
    let values = answer(&port.name, wire(element)?, vec![rows.len() as u64, columns], bytes)?;
    let name = format!("{}.keys", port.name);
    Ok([values, answer(&name, wire(key)?, vec![columns], keys.map_or(Vec::new(), Array::to_bytes))?])
}

/// Runs a program on tensors in the order of its ports, which may be larger than a request can carry.
pub fn run_here(
    program: &Program,
    machine: &Machine,
    inputs: &[graph::Tensor],
) -> Result<Vec<graph::Tensor>, RunError> {
    let refused = |name: &str, cause: String| RunError::OutputSize { name: name.to_owned(), cause };
    let values = program.inputs.iter().zip(inputs).map(|(port, tensor)| {
        let element = Element::ALL.into_iter().find(|element| element.name() == program_name(tensor.element()));
        let array = element.and_then(|element| Array::from_bytes(element, tensor.shape(), &tensor.to_bytes()));
        array.map(Value::from).ok_or_else(|| refused(&port.name, format!("no program takes {}", tensor.element())))
    });
    let values = values.collect::<Result<Vec<Value>, _>>()?;
    let outputs = run_values(program, machine, Limits::default(), values, None)?;
    let tensor = |value: &Value| {
        let array = value.as_tensor()?;
        let element = graph::Element::ALL.into_iter().find(|element| program_name(*element) == array.element().name());
        graph::Tensor::from_bytes(element?, array.shape(), &array.to_bytes())
    };
    let all: Option<Vec<graph::Tensor>> = outputs.iter().map(tensor).collect();
    all.ok_or_else(|| refused("of the program", "an output is no tensor of plain numbers".to_owned()))
}

/// What the standard calls an element of static graphs.
fn program_name(element: graph::Element) -> &'static str {
    match element {
        graph::Element::I8 => Element::I8.name(),
        graph::Element::U8 => Element::U8.name(),
        graph::Element::I16 => Element::I16.name(),
        graph::Element::I32 => Element::I32.name(),
        graph::Element::I64 => Element::I64.name(),
        graph::Element::F16 => Element::F16.name(),
        graph::Element::F32 => Element::F32.name(),
        graph::Element::Packed(_) => "packed",
    }
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
        Element::I16 => Some(protocol::Element::I16),
        Element::U16 => Some(protocol::Element::U16),
        Element::U32 => Some(protocol::Element::U32),
        Element::U64 => Some(protocol::Element::U64),
        Element::F16 => Some(protocol::Element::F16),
        Element::BF16 => Some(protocol::Element::Bf16),
        Element::Text => Some(protocol::Element::Text),
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
        protocol::Element::I16 => Element::I16,
        protocol::Element::U16 => Element::U16,
        protocol::Element::U32 => Element::U32,
        protocol::Element::U64 => Element::U64,
        protocol::Element::F16 => Element::F16,
        protocol::Element::Bf16 => Element::BF16,
        protocol::Element::Text => Element::Text,
    }
}
