//! A tensor model: named tensors in, named tensors out, every refusal with what was expected.

use graph::{
    Checked, Data, Dimension, Element, Shape, Work,
    evaluate::check_inputs,
    program::{Limits, Program, ProgramFault, Value, machine::Watch},
};
use protocol::Tensor;

use crate::{
    cpu::Level,
    kernel::{Place, Stays, Threads},
    language::{RunError, within},
    load::LoadError,
    plan::{Chunk, Plan, Workspace},
    port::{Port, answer},
    programs::{self, Machine},
};

pub struct TensorModel {
    body: Body,
    work: Work,
    work_max: u64,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

enum Body {
    Graph(Box<Plan>),
    Program(Box<Program>, Machine),
}

impl TensorModel {
    pub(crate) fn load(graph: Checked, level: Level, threads: Threads) -> Result<Self, LoadError> {
        let inputs: Result<Vec<Port>, LoadError> =
            graph.graph().inputs.iter().map(|input| port(&input.name, input.element, &input.shape)).collect();
        let mut outputs = Vec::new();
        for output in &graph.graph().outputs {
            let fact = graph.fact(output.source);
            let fact = fact.ok_or_else(|| LoadError::Port { name: output.name.clone(), element: "nothing" })?;
            outputs.push(port(&output.name, fact.element, &fact.shape)?);
        }
        let work = graph.work();
        let body = Body::Graph(Box::new(Plan::new(graph, level, threads)));
        Ok(Self { inputs: inputs?, outputs, body, work, work_max: u64::MAX })
    }

    pub(crate) fn of_program(program: Program, level: Level, threads: Threads) -> Result<Self, LoadError> {
        let ports = |ports: &[graph::program::Port]| ports.iter().map(programs::port).collect::<Result<Vec<Port>, _>>();
        let (inputs, outputs) = (ports(&program.inputs)?, programs::outputs(&program.outputs)?);
        let work = Work::of_program(Limits::default().operations);
        let body = Body::Program(Box::new(program), Machine { level, threads });
        Ok(Self { inputs, outputs, body, work, work_max: u64::MAX })
    }

    pub(crate) fn within(self, work_max: u64) -> Self {
        let call = self.work.call.min(work_max);
        Self { work: Work { call, ..self.work }, work_max, ..self }
    }

    pub(crate) fn work(&self) -> Work {
        self.work
    }

    /// What a run of a program may use here.
    fn limits(&self) -> Limits {
        let limits = Limits::default();
        Limits { operations: limits.operations.min(Work::operations(self.work_max)), ..limits }
    }

    pub(crate) fn threads(&self) -> usize {
        match &self.body {
            Body::Graph(plan) => plan.threads().count(),
            Body::Program(_, machine) => machine.threads.count(),
        }
    }

    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Runs a program on values of any kind and size, also such as requests do not carry; `None` where the model is no program. Each node and
    /// its outputs are told as soon as it ran.
    pub fn run_values<'run>(
        &'run self,
        inputs: Vec<Value>,
        watch: Option<Watch<'run>>,
    ) -> Option<Result<Vec<Value>, ProgramFault>> {
        match &self.body {
            Body::Graph(_) => None,
            Body::Program(program, machine) => {
                Some(programs::run_values(program, machine, self.limits(), inputs, watch))
            }
        }
    }

    /// Runs the model; inputs may come in any order.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.run_while(inputs, &|| true)
    }

    /// Runs the model for as long as `stays` says: what nobody waits for any more is interrupted.
    pub fn run_while(&self, inputs: &[Tensor], stays: Stays) -> Result<Vec<Tensor>, RunError> {
        self.check_names(inputs)?;
        let mut found = Vec::new();
        for port in &self.inputs {
            let tensor = inputs.iter().find(|tensor| *tensor.name == *port.name);
            let missing = || RunError::MissingInput { name: port.name.clone(), expected: self.expected() };
            found.push((port, tensor.ok_or_else(missing)?));
        }
        match &self.body {
            Body::Graph(plan) => self.run_graph(plan, &found, stays),
            Body::Program(program, machine) => programs::run(program, machine, self.limits(), &found, stays),
        }
    }

    /// Runs the model on tensors in the order of its inputs, which may be larger than a request can carry.
    pub fn run_here(&self, inputs: &[graph::Tensor]) -> Result<Vec<graph::Tensor>, RunError> {
        match &self.body {
            Body::Graph(plan) => {
                let (data, rows) = self.outputs_of(plan, inputs, &|| true)?;
                let outputs = self.outputs.iter().zip(data);
                outputs.map(|(port, data)| checked(port, data, rows)).collect()
            }
            Body::Program(program, machine) => programs::run_here(program, machine, inputs),
        }
    }

    fn run_graph(&self, plan: &Plan, found: &[(&Port, &Tensor)], stays: Stays) -> Result<Vec<Tensor>, RunError> {
        let values: Result<Vec<graph::Tensor>, RunError> =
            found.iter().map(|(port, tensor)| read(port, tensor)).collect();
        let (data, rows) = self.outputs_of(plan, &values?, stays)?;
        self.outputs.iter().zip(data).map(|(port, data)| write(port, data, rows)).collect()
    }

    /// The data of all outputs, and the rows of the call.
    fn outputs_of(&self, plan: &Plan, values: &[graph::Tensor], stays: Stays) -> Result<(Vec<Data>, usize), RunError> {
        let rows = check_inputs(plan.checked(), values)?;
        within(self.work.of(rows), self.work_max)?;
        let data: Vec<Data> = values.iter().map(|tensor| tensor.data().clone()).collect();
        let places: Vec<Place> = (0..rows).map(|position| Place { lane: 0, position }).collect();
        let (mut space, mut lane) = (Workspace::default(), plan.lane());
        let wanted: Vec<usize> = (0..rows).collect();
        let chunk = Chunk { inputs: &data, places: &places, wanted: &wanted };
        if !plan.run_while(&mut space, &mut [&mut lane], &chunk, stays)? {
            return Err(RunError::Interrupted);
        }
        let excluded = || RunError::Fault(graph::Fault::Excluded { operator: "output" });
        let outputs =
            (0..self.outputs.len()).map(|index| plan.output(&space, &data, index).cloned().ok_or_else(excluded));
        Ok((outputs.collect::<Result<_, _>>()?, rows))
    }

    fn expected(&self) -> String {
        self.inputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn check_names(&self, inputs: &[Tensor]) -> Result<(), RunError> {
        for (index, tensor) in inputs.iter().enumerate() {
            let name = tensor.name.to_string();
            if !self.inputs.iter().any(|port| *port.name == *tensor.name) {
                return Err(RunError::UnknownInput { name, expected: self.expected() });
            }
            if inputs.iter().take(index).any(|other| other.name == tensor.name) {
                return Err(RunError::DoubleInput { name });
            }
        }
        Ok(())
    }
}

fn read(port: &Port, tensor: &Tensor) -> Result<graph::Tensor, RunError> {
    let name = port.name.clone();
    if tensor.element != port.element {
        let (expected, found) = (port.element.word(), tensor.element.word());
        return Err(RunError::Element { name, expected, found });
    }
    let sizes: Vec<usize> = tensor.shape.iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
    // A port is only made for elements that the graph has.
    let element = from_wire(port.element).unwrap_or(Element::U8);
    graph::Tensor::from_bytes(element, &sizes, &tensor.data).ok_or_else(|| {
        let count = sizes.iter().try_fold(element.bytes(), |all, &size| all.checked_mul(size));
        let (shape, found) = (tensor.shape.to_vec(), tensor.data.len());
        RunError::DataLength { name, shape, expected: count.unwrap_or(usize::MAX), found }
    })
}

/// An output as a tensor; one that is not finite is refused.
fn checked(port: &Port, data: Data, rows: usize) -> Result<graph::Tensor, RunError> {
    if let Data::F32(values) = &data
        && values.iter().any(|value| !value.is_finite())
    {
        return Err(RunError::NotFinite { name: port.name.clone() });
    }
    let sizes: Vec<usize> = port.shape.iter().map(|size| size.map_or(rows, |size| size as usize)).collect();
    graph::Tensor::new(&sizes, data).ok_or(RunError::Fault(graph::Fault::Excluded { operator: "output" }))
}

fn write(port: &Port, data: Data, rows: usize) -> Result<Tensor, RunError> {
    let tensor = checked(port, data, rows)?;
    let shape = tensor.shape().iter().map(|&size| size as u64).collect();
    answer(&port.name, port.element, shape, tensor.to_bytes())
}

fn port(name: &str, element: Element, shape: &Shape) -> Result<Port, LoadError> {
    let refuse = || LoadError::Port { name: name.to_owned(), element: element.name() };
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => Some(*size as u64),
        Dimension::Rows => None,
    };
    let shape = shape.0.iter().map(size).collect();
    Ok(Port { name: name.to_owned(), element: to_wire(element).ok_or_else(refuse)?, shape })
}

fn to_wire(element: Element) -> Option<protocol::Element> {
    match element {
        Element::I8 => Some(protocol::Element::I8),
        Element::U8 => Some(protocol::Element::U8),
        Element::I32 => Some(protocol::Element::I32),
        Element::I64 => Some(protocol::Element::I64),
        Element::F32 => Some(protocol::Element::F32),
        Element::I16 | Element::F16 | Element::Packed(_) => None,
    }
}

fn from_wire(element: protocol::Element) -> Option<Element> {
    match element {
        protocol::Element::I8 => Some(Element::I8),
        protocol::Element::U8 => Some(Element::U8),
        protocol::Element::I32 => Some(Element::I32),
        protocol::Element::I64 => Some(Element::I64),
        protocol::Element::F32 => Some(Element::F32),
        protocol::Element::F64 | protocol::Element::Bool | protocol::Element::Text => None,
        protocol::Element::I16 | protocol::Element::U16 | protocol::Element::U32 | protocol::Element::U64 => None,
        protocol::Element::F16 | protocol::Element::Bf16 => None,
    }
}
