//! An ONNX file, and the files beside it that its tensors lie in, to a model.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use engine::{Fidelity, Level, TensorModel, fidelity, program_kernels};
use float::{Limits, Runtime};
use graph::{
    Element, Model, Tensor,
    onnx::{
        Arithmetic, CompileError, Inputs, OnnxError, OnnxFile, OnnxSources, Sidecars, compile_onnx_with, onnx_inputs,
        sidecar_names,
    },
};
use serde_json::Value;

use super::{
    measured::{self, Parts},
    read, sidecars,
};
use crate::{cli::ModelCompile, node::float_program};

/// Most axes of an input.
const RANK_MAX: usize = 8;

/// What a model can be compared with: its file, on sets of inputs.
pub struct Measured {
    file: Bytes,
    sidecars: Sidecars,
    sets: Vec<Vec<Tensor>>,
    /// What the sets are.
    pub on: String,
}

impl Measured {
    pub fn of(&self, model: &TensorModel) -> Result<Fidelity> {
        let file = OnnxFile { bytes: &self.file, sidecars: &self.sidecars };
        fidelity(model, file, &self.sets).context("failed to compare the model with its file")
    }
}

/// A model, and what it is measured by where it is one of integers.
pub fn compile(options: &ModelCompile, name: &str) -> Result<(Model, Option<Measured>)> {
    let bytes = storage::map_file(&options.source)?;
    if options.float {
        // What is no ONNX at all is the runtime's to refuse.
        if sidecar_names(&bytes).is_ok_and(|names| !names.is_empty()) {
            bail!(
                "tensors of the model lie in files beside it, a float model is one file; hint: save it without external \
                 data, or --ordered"
            );
        }
        // The runtime that will serve it must take it: said now, not by the worker.
        let runtime = Runtime::start(float_program()?, bytes.clone(), Limits::of(bytes.len()))
            .context("failed to take the file as it is; hint: --ordered gives an exact form where there is one")?;
        return Ok((Model::of_float(name, runtime.parameters(), bytes), None));
    }
    let sidecars = sidecars::open(&options.source, &bytes)?;
    let file = OnnxFile { bytes: &bytes, sidecars: &sidecars };
    let calibration = match (&options.calibration, options.ordered) {
        (Some(path), _) => sets(path, &onnx_inputs(file)?)?,
        (None, true) => Vec::new(),
        (None, false) => {
            bail!("the integer kind needs inputs to find its scales by; hint: --calibration FILE, or --ordered")
        }
    };
    let parts = match &options.measure {
        Some(path) => Parts::said(calibration, sets(path, &onnx_inputs(file)?)?, path),
        None => measured::sets(calibration),
    };
    let arithmetic = if options.ordered { Arithmetic::Ordered } else { Arithmetic::Integer };
    let (calibration, rows_max) = (parts.calibration.as_slice(), options.rows_max);
    let sources = OnnxSources { name, arithmetic, file, calibration, rows_max };
    let compiled = compile_onnx_with(&sources, program_kernels(Level::detect())).map_err(otherwise)?;
    let measured = Measured { file: bytes, sidecars, sets: parts.measured, on: parts.on };
    Ok((compiled, (!options.ordered).then_some(measured)))
}

/// Where an operator has no exact meaning, there is still the float form.
fn otherwise(error: CompileError) -> anyhow::Error {
    use OnnxError::{RefusedNodes, UnsupportedOperators};
    let is_unknown = matches!(error, CompileError::Onnx(UnsupportedOperators { .. } | RefusedNodes { .. }));
    let error = anyhow::Error::from(error);
    if is_unknown {
        return error
            .context("no exact form; hint: --float keeps the file for a float runtime, whose answers are signed for");
    }
    error
}

const SETS: &str = "; hint: JSON arrays by the inputs' names, or a list of such sets";

/// One set of named arrays, or a list of such sets; each in the order of the model's inputs.
fn sets(path: &Path, inputs: &Inputs) -> Result<Vec<Vec<Tensor>>> {
    let named: Value =
        serde_json::from_slice(&read(path)?).with_context(|| format!("{} is not JSON{SETS}", path.display()))?;
    let all = match &named {
        Value::Array(sets) => sets.iter().collect(),
        one => vec![one],
    };
    let set = |set: &Value| inputs.iter().map(|(name, element, _)| tensor(&set[name], name, *element)).collect();
    all.into_iter().map(set).collect::<Result<_>>().with_context(|| format!("failed to read {}{SETS}", path.display()))
}

/// Nested arrays of numbers, as deep as the input has axes.
fn tensor(value: &Value, name: &str, element: Element) -> Result<Tensor> {
    let (mut shape, mut first) = (Vec::new(), value);
    while let Value::Array(values) = first {
        ensure!(shape.len() < RANK_MAX, "input {name} has more than {RANK_MAX} axes");
        shape.push(values.len());
        first = values.first().with_context(|| format!("input {name} has an empty axis"))?;
    }
    let mut numbers = Vec::new();
    flatten(value, &shape, &mut numbers)
        .with_context(|| format!("expected the numbers of input {name}, axis in axis"))?;
    let bytes: Option<Vec<Vec<u8>>> = numbers
        .into_iter()
        .map(|number| {
            Some(match element {
                Element::F32 => (number.as_f64()? as f32).to_le_bytes().to_vec(),
                Element::I32 => i32::try_from(number.as_i64()?).ok()?.to_le_bytes().to_vec(),
                _ => number.as_i64()?.to_le_bytes().to_vec(),
            })
        })
        .collect();
    let bytes = bytes.with_context(|| format!("input {name} holds something that is no {element}"))?;
    Tensor::from_bytes(element, &shape, &bytes.concat())
        .with_context(|| format!("input {name} has axes of changing sizes"))
}

/// `None` where an axis has another size than its first one.
fn flatten<'a>(value: &'a Value, shape: &[usize], numbers: &mut Vec<&'a Value>) -> Option<()> {
    match (value, shape) {
        (Value::Array(values), [size, inner @ ..]) if values.len() == *size => {
            values.iter().try_for_each(|value| flatten(value, inner, numbers))
        }
        (Value::Array(_), _) | (_, [_, ..]) => None,
        (number, []) => {
            numbers.push(number);
            Some(())
        }
    }
}
