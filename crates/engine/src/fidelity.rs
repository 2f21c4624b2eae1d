//! How near an integer tensor model is to the floats of the file that it was compiled from.

use std::sync::Arc;

use graph::{
    onnx::{OnnxError, OnnxFile, import_program, label_texts},
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
    /// Share of the labels that are the same, where the model gives any.
    pub labels: Option<f64>,
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
pub fn fidelity<'a>(
    model: &TensorModel,
    file: impl Into<OnnxFile<'a>>,
    sets: &[Vec<graph::Tensor>],
) -> Result<Fidelity, FidelityError> {
    let program = import_program(file)?;
    let mut seen = Counts { cosine: 1.0, ..Counts::default() };
    for set in sets {
        let values: Option<Vec<Value>> = set.iter().map(value).collect();
        let values = values.ok_or(FidelityError::Shapes)?;
        let floats = program.run_with(values, Limits::default(), program_ops::pick(Level::detect()), None)?;
        let integers = model.run_here(set)?;
        for ((floats, integers), source) in floats.iter().zip(&integers).zip(&program.body.outputs) {
            let texts = label_texts(&program, *source);
            seen.output(floats, integers, texts.as_deref()).ok_or(FidelityError::Shapes)?;
        }
    }
    let share = |[same, all]: [usize; 2]| same as f64 / all.max(1) as f64;
    let labels = (seen.labels[1] > 0).then(|| share(seen.labels));
    // Where there is nothing but labels, they are what is greatest.
    let agreement = if seen.rows[1] > 0 { share(seen.rows) } else { labels.unwrap_or(0.0) };
    Ok(Fidelity { sets: sets.len(), cosine: seen.cosine, agreement, labels })
}

/// What all outputs so far come to: how many are the same, of how many.
#[derive(Default)]
struct Counts {
    cosine: f64,
    rows: [usize; 2],
    labels: [usize; 2],
}

impl Counts {
    /// `None` where the two cannot be compared.
    fn output(&mut self, floats: &Value, integers: &graph::Tensor, texts: Option<&[Arc<str>]>) -> Option<()> {
        if let Some(found) = integers.integers() {
            let expected = labels(floats, texts)?;
            let same = found.iter().zip(&expected).filter(|(one, other)| one == other).count();
            self.labels = [self.labels[0] + same, self.labels[1] + expected.len()];
            return (found.len() == expected.len()).then_some(());
        }
        let (width, expected) = scores(floats)?;
        let near: Vec<f64> = integers.floats()?.iter().map(|&x| x.into()).collect();
        if near.len() != expected.len() {
            return None;
        }
        self.cosine = self.cosine.min(cosine(&near, &expected));
        let pairs = near.chunks(width).zip(expected.chunks(width));
        let same = pairs.filter(|(near, expected)| greatest(near) == greatest(expected)).count();
        self.rows = [self.rows[0] + same, self.rows[1] + expected.len() / width];
        Some(())
    }
}

/// Labels as integers, texts by their place in the list of all.
fn labels(value: &Value, texts: Option<&[Arc<str>]>) -> Option<Vec<i64>> {
    let array = value.as_tensor()?;
    if let Some(values) = array.integers() {
        return values.into_iter().map(|value| i64::try_from(value).ok()).collect();
    }
    let place = |text: &Arc<str>| texts?.iter().position(|other| other == text).map(|place| place as i64);
    array.as_texts()?.iter().map(place).collect()
}

/// The innermost size of floats, and all of them; of a sequence of maps the maps' values.
fn scores(value: &Value) -> Option<(usize, Vec<f64>)> {
    let all = |array: &Array| Some(array.floats()?.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
    match value {
        Value::Tensor(array) => Some((array.shape().last().copied().unwrap_or(1).max(1), all(array)?)),
        Value::Sequence(maps) => {
            let row = |map: &Value| if let Value::Map(_, values) = map { all(values) } else { None };
            let rows: Vec<Vec<f64>> = maps.iter().map(row).collect::<Option<_>>()?;
            Some((rows.first().map_or(1, Vec::len).max(1), rows.concat()))
        }
        Value::Map(..) | Value::Nothing => None,
    }
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
