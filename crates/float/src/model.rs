//! A model in this process: its inputs checked, run, its outputs as answers carry them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use protocol::{Element, Tensor, Text, request::TENSORS_MAX};
use rten::{DataType, Dimension, Model, NodeId, RunOptions, ThreadPool, ValueOrView, ValueType};

use crate::{
    port::{FloatError, Port},
    values,
};

/// Most axes of a value, as requests carry it.
const AXES_MAX: usize = 8;

/// A model that is ready to run.
pub struct FloatModel {
    model: Model,
    inputs: Vec<(Port, NodeId)>,
    outputs: Vec<(String, NodeId)>,
    threads: Arc<ThreadPool>,
}

impl FloatModel {
    /// Reads an ONNX file.
    pub fn load(file: Vec<u8>, threads: usize) -> Result<Self, FloatError> {
        let model = guarded(|| Model::load(file).map_err(|cause| cause.to_string()));
        let model = model.map_err(|cause| FloatError::Load { cause })?;
        // An answer has an input, and says something.
        bounded("inputs", model.input_ids().len())?;
        bounded("outputs", model.output_ids().len())?;
        let inputs = model.input_ids().iter().map(|&id| Ok((port(&model, id)?, id))).collect::<Result<_, _>>()?;
        let outputs = model.output_ids().iter().map(|&id| Ok((name(&model, id)?, id))).collect::<Result<_, _>>()?;
        Ok(Self { inputs, outputs, threads: Arc::new(ThreadPool::with_num_threads(threads.max(1))), model })
    }

    /// Trained numbers.
    pub fn parameters(&self) -> u64 {
        self.model.total_params() as u64
    }

    pub fn inputs(&self) -> impl Iterator<Item = &Port> {
        self.inputs.iter().map(|(port, _)| port)
    }

    /// Runs the model; inputs may come in any order.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, FloatError> {
        self.check_names(inputs)?;
        let mut values = Vec::new();
        for (port, id) in &self.inputs {
            let tensor = inputs.iter().find(|tensor| *tensor.name == *port.name);
            let missing = || FloatError::MissingInput { name: port.name.clone(), expected: self.expected() };
            values.push((*id, ValueOrView::from(values::read(port, tensor.ok_or_else(missing)?)?)));
        }
        let ids: Vec<NodeId> = self.outputs.iter().map(|(_, id)| *id).collect();
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.threads)));
        let found = guarded(|| self.model.run(values, &ids, Some(options)).map_err(|cause| cause.to_string()));
        let found = found.map_err(|cause| FloatError::Run { cause })?;
        self.outputs.iter().zip(found).map(|((name, _), value)| values::write(name, value)).collect()
    }

    fn expected(&self) -> String {
        self.inputs().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn check_names(&self, inputs: &[Tensor]) -> Result<(), FloatError> {
        for (index, tensor) in inputs.iter().enumerate() {
            let name = tensor.name.to_string();
            if !self.inputs().any(|port| *port.name == *tensor.name) {
                return Err(FloatError::UnknownInput { name, expected: self.expected() });
            }
            if inputs.iter().take(index).any(|other| other.name == tensor.name) {
                return Err(FloatError::DoubleInput { name });
            }
        }
        Ok(())
    }
}

/// What a call into the runtime gives, where it may panic on what it was not made for.
fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // Nothing that the call changes is used after it has panicked.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err("it was not made for this and stopped".to_owned()))
}

fn bounded(what: &'static str, found: usize) -> Result<(), FloatError> {
    let limit = TENSORS_MAX;
    if (1..=limit).contains(&found) { Ok(()) } else { Err(FloatError::Ports { what, found, limit }) }
}

/// A value's name, where requests and answers can carry it.
fn name(model: &Model, id: NodeId) -> Result<String, FloatError> {
    let name = model.node_info(id).and_then(|node| node.name().map(str::to_owned)).unwrap_or_default();
    let fits = !name.is_empty() && Text::<128>::new(name.as_str()).is_ok();
    let cut = || name.chars().take(32).collect::<String>();
    if fits { Ok(name) } else { Err(FloatError::Port { name: format!("a value whose name begins with {:?}", cut()) }) }
}

fn port(model: &Model, id: NodeId) -> Result<Port, FloatError> {
    let name = name(model, id)?;
    let node = model.node_info(id);
    let element = match node.as_ref().and_then(|node| node.dtype()) {
        Some(ValueType::Tensor(DataType::Float)) => Element::F32,
        // The runtime has no integers of 64 bits and no booleans: those of a file become 32.
        Some(ValueType::Tensor(DataType::Int32)) => Element::I32,
        Some(ValueType::Tensor(DataType::Int8)) => Element::I8,
        Some(ValueType::Tensor(DataType::UInt8)) => Element::U8,
        // A sequence, what a later runtime has, or nothing that the file says.
        Some(_) | None => return Err(FloatError::Port { name }),
    };
    let size = |size: Dimension| match size {
        Dimension::Fixed(size) => Some(size as u64),
        Dimension::Symbolic(_) => None,
    };
    let shape: Option<Vec<Option<u64>>> =
        node.and_then(|node| node.shape()).map(|shape| shape.into_iter().map(size).collect());
    if shape.as_ref().is_some_and(|shape| shape.len() > AXES_MAX) {
        return Err(FloatError::Port { name });
    }
    Ok(Port { name, element, shape })
}
