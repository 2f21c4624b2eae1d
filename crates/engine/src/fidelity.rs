//! How near an integer tensor model is to the floats of the file that it was compiled from.

use graph::{
    onnx::{OnnxError, import_program},
    program::{Array, Limits, Value},
};

use crate::{cpu::Level, language::RunError, program_ops, tensors::TensorModel};

/// Both on the same inputs: the exact floats of the file's program, which are those of any runtime but for the last bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fidelity {
    /// Sets of inputs.
    pub sets: usize,
    /// Least cosine of the outputs of a set.
    pub cosine: f64,
    /// Share of innermost rows of outputs whose greatest number is the same one.
    pub agreement: f64,
}

/// Why a model was not compared with its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FidelityError {
    #[error("failed to read the ONNX file: {0}")]
    Onnx(#[from] OnnxError),
    #[error("failed to run the integer model: {0}")]
    Run(#[from] RunError),
    #[error("failed to run the file's floats: {0}")]
    Floats(#[from] graph::program::ProgramFault),
    #[error("the inputs or outputs are no tensors that both have")]
    Shapes,
}

/// Compares over sets of inputs in the order of the model's.
pub fn fidelity(model: &TensorModel, file: &[u8], sets: &[Vec<graph::Tensor>]) -> Result<Fidelity, FidelityError> {
    let program = import_program(file)?;
    let mut found = Fidelity { sets: sets.len(), cosine: 1.0, agreement: 0.0 };
    let (mut same, mut rows) = (0_usize, 0_usize);
    for set in sets {
        let values: Option<Vec<Value>> = set.iter().map(value).collect();
        let values = values.ok_or(FidelityError::Shapes)?;
        let floats = program.run_with(values, Limits::default(), program_ops::pick(Level::detect()), None)?;
        let integers = model.run_here(set)?;
        for (floats, integers) in floats.iter().zip(&integers) {
            let array = floats.as_tensor().ok_or(FidelityError::Shapes)?;
            let expected: Vec<f64> = array.floats().ok_or(FidelityError::Shapes)?.iter().map(|&x| x.into()).collect();
            let near: Vec<f64> = integers.floats().ok_or(FidelityError::Shapes)?.iter().map(|&x| x.into()).collect();
            if near.len() != expected.len() {
                return Err(FidelityError::Shapes);
            }
            found.cosine = found.cosine.min(cosine(&near, &expected));
            let width = array.shape().last().copied().unwrap_or(1).max(1);
            rows += expected.len() / width;
            let pairs = near.chunks(width).zip(expected.chunks(width));
            same += pairs.filter(|(near, expected)| greatest(near) == greatest(expected)).count();
        }
    }
    found.agreement = same as f64 / rows.max(1) as f64;
    Ok(found)
}

fn value(tensor: &graph::Tensor) -> Option<Value> {
    let element = match tensor.element() {
        graph::Element::F32 => graph::program::Element::F32,
        graph::Element::I32 => graph::program::Element::I32,
        graph::Element::I64 => graph::program::Element::I64,
        _ => return None,
    };
    Array::from_bytes(element, tensor.shape(), &tensor.to_bytes()).map(Value::from)
}

/// 1 where both are nothing but zeros.
fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if lengths > 0.0 { dot(one, other) / lengths } else { f64::from(u8::from(one == other)) }
}

fn greatest(values: &[f64]) -> Option<usize> {
    values.iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(index, _)| index)
}
