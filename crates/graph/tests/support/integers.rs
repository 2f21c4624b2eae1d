//! Cases of the ONNX standard as integer models: whether they have such a form, and how near it comes to what is expected.
//!
//! A case is compiled with its own inputs as calibration; where that gives no integer form, once more with all inputs but the first as
//! constants (`constants.onnx`), since weights must be constant to be quantised, and most cases hand them in.

use std::path::{Path, PathBuf};

use graph::onnx::{Arithmetic, OnnxSources, compile_onnx, import_program};
use graph::program::{self, Array, Port, Value};
use graph::{Data, Element, Tensor, evaluate};

use crate::standard::{folders, numbers, read, same};

/// Of an output's greatest number.
pub const NEAR: f64 = 0.01;

/// Cases whose integer form is not near, and why.
pub const FAR: &[(&str, &str)] = &[
    ("test_round", "inputs lie on the steps, within half a unit"),
    ("test_thresholdedrelu_example", "an input lies at the jump, within half a unit"),
];

/// How near all outputs are.
pub enum Near {
    Exact,
    Within(f64),
}

impl Near {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Within(share) if *share <= NEAR => "near",
            Self::Within(_) => "far",
        }
    }
}

/// A case as it stands, or else with all inputs but the first as constants.
pub fn tried(folder: &Path) -> Result<Near, String> {
    match form(folder, "model.onnx", usize::MAX) {
        Err(_) if folder.join("constants.onnx").exists() => form(folder, "constants.onnx", 1),
        found => found,
    }
}

/// Compiles one file of the case, with as many of its inputs as are no constants, and runs it.
fn form(folder: &Path, file: &str, count: usize) -> Result<Near, String> {
    let bytes = std::fs::read(folder.join(file)).map_err(|error| error.to_string())?;
    let program = import_program(&bytes).map_err(|error| error.to_string())?;
    // The constants are those of the first set, and node cases have no other.
    let sets: Vec<PathBuf> = folders(folder).into_iter().take(1).collect();
    let inputs = |set: &Path| -> Result<Vec<Tensor>, String> {
        let ports = program.inputs.iter().take(count).enumerate();
        ports.map(|(index, port)| tensor(set, index, port)).collect()
    };
    let calibration: Vec<Vec<Tensor>> = sets.iter().map(|set| inputs(set)).collect::<Result<_, _>>()?;
    let sources = OnnxSources {
        name: "case",
        arithmetic: Arithmetic::Integer,
        file: (&bytes).into(),
        calibration: &calibration,
        rows_max: 4096,
    };
    let model = compile_onnx(&sources).map_err(|error| error.to_string())?;
    let mut worst = Near::Exact;
    for (set, inputs) in sets.iter().zip(&calibration) {
        let found = evaluate(&model.graph, inputs).map_err(|error| error.to_string())?;
        for (index, (port, found)) in program.outputs.iter().zip(&found).enumerate() {
            let expected = read(set, "output", index, port)?;
            let found = array(found).ok_or("an output of another kind")?;
            if same(&expected, &Value::from(found.clone())).is_err() {
                let share = apart(&expected, &found)?;
                worst = Near::Within(if let Near::Within(before) = worst { share.max(before) } else { share });
            }
        }
    }
    Ok(worst)
}

fn tensor(set: &Path, index: usize, port: &Port) -> Result<Tensor, String> {
    let value = read(set, "input", index, port)?;
    let array = value.as_tensor().ok_or("an input that is no tensor")?;
    let element = match array.element() {
        program::Element::F32 => Element::F32,
        program::Element::I32 => Element::I32,
        program::Element::I64 => Element::I64,
        other => return Err(format!("an input of {other}, which an integer model does not take")),
    };
    Tensor::from_bytes(element, array.shape(), &array.to_bytes()).ok_or("an input that is no tensor".to_owned())
}

fn array(tensor: &Tensor) -> Option<Array> {
    let element = match tensor.data() {
        Data::F32(_) => program::Element::F32,
        Data::I32(_) => program::Element::I32,
        Data::I64(_) => program::Element::I64,
        _ => return None,
    };
    Array::from_bytes(element, tensor.shape(), &tensor.to_bytes())
}

/// The greatest distance, as a share of the greatest expected number.
fn apart(expected: &Value, found: &Array) -> Result<f64, String> {
    let expected = expected.as_tensor().ok_or("an output that is no tensor")?;
    if expected.shape() != found.shape() {
        return Err(format!("an output of shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    let (Some(wanted), Some(given)) = (numbers(expected), numbers(found)) else {
        return Err("an output of texts".to_owned());
    };
    let most = wanted.iter().map(|wanted| wanted.abs()).filter(|most| most.is_finite()).fold(0.0, f64::max);
    let far = wanted.iter().zip(&given).map(|(wanted, given)| (wanted - given).abs()).fold(0.0, f64::max);
    Ok(far / most.max(f64::MIN_POSITIVE))
}
