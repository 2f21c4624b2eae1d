//! An ONNX file to an artefact.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use graph::{
    Data, Input, Tensor,
    onnx::{Arithmetic, OnnxSources, compile_onnx, import},
};
use serde_json::Value;

use super::read;
use crate::cli::ModelCompile;

pub fn compile(options: &ModelCompile, name: &str) -> Result<Vec<u8>> {
    let file = read(&options.source)?;
    let calibration = match (&options.calibration, options.ordered) {
        (Some(path), _) => vec![matrices(path, &import(&file)?.inputs)?],
        (None, true) => Vec::new(),
        (None, false) => {
            bail!("the integer kind needs inputs to find its scales by; hint: --calibration FILE, or --ordered")
        }
    };
    let arithmetic = if options.ordered { Arithmetic::Ordered } else { Arithmetic::Integer };
    let sources = OnnxSources { name, arithmetic, file: &file, calibration: &calibration, rows_max: options.rows_max };
    Ok(compile_onnx(&sources)?.to_artefact())
}

/// Named matrices, in the order of the model's inputs.
fn matrices(path: &Path, inputs: &[Input]) -> Result<Vec<Tensor>> {
    let named: Value =
        serde_json::from_slice(&read(path)?).with_context(|| format!("{} is not JSON", path.display()))?;
    let one = |input: &Input| {
        matrix(&named[&input.name]).with_context(|| format!("{} holds no matrix {}", path.display(), input.name))
    };
    inputs.iter().map(one).collect()
}

fn matrix(value: &Value) -> Option<Tensor> {
    let rows = value.as_array()?;
    let width = rows.first()?.as_array()?.len();
    let cells = rows.iter().map(|row| row.as_array().filter(|row| row.len() == width));
    let cells: Vec<&Vec<Value>> = cells.collect::<Option<_>>()?;
    let values = cells.into_iter().flatten().map(|value| value.as_f64().map(|value| value as f32));
    Tensor::new(&[rows.len(), width], Data::F32(values.collect::<Option<_>>()?))
}
