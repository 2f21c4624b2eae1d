//! The cases of the ONNX standard's backend test, as `models/onnx/cases.py` writes them, and what our runs make of them.

use std::path::{Path, PathBuf};

use graph::onnx::{import_program, read_value};
use graph::program::{Array, Data, Element, Limits, Port, Program, ProgramFault, Value};

/// Who runs a program: the operators' meanings, or kernels.
pub type Runner = fn(&Program, Vec<Value>, Limits) -> Result<Vec<Value>, ProgramFault>;

/// Room for models of the standard that take more than one call may have.
const WIDE: Limits = Limits { bytes: 1 << 33, operations: 1 << 36 };

/// Every kind of case, and how many the pinned package has: one that is lost would look like one that passes.
pub const KINDS: [(&str, usize); 5] =
    [("node", 1884), ("simple", 23), ("pytorch-converted", 82), ("pytorch-operator", 35), ("real", 9)];

/// Cases, by how their names begin, that our operators do not claim to answer, and why. Whatever else fails is a mistake, and so is a
/// row whose cases pass.
pub const UNCLAIMED: &[(&str, &str)] = &[
    (
        "test_bernoulli",
        "draws of one library's generator in a state that no file holds; the standard calls the operator non-deterministic, \"even if a seed is specified\"",
    ),
    (
        "test_dft_inverse",
        "expected is 1.9e-7, the rounding of one library's transform in binary32, where the sum is 0 and ours 3e-15",
    ),
    ("test_gradient_of", "training, unsupported and refused by name before anything runs"),
    ("test_image_decoder", "unsupported, and refused by name before anything runs"),
];

/// What became of a case.
#[derive(Clone, PartialEq)]
pub enum Status {
    Pass,
    /// It passes where it may take more than a call's limits.
    PassWide(String),
    Wrong(String),
    Unsupported(String),
    Refused(String),
}

impl Status {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass | Self::PassWide(_) => "pass",
            Self::Wrong(_) => "wrong",
            Self::Unsupported(_) => "unsupported",
            Self::Refused(_) => "refused",
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::PassWide(text) | Self::Wrong(text) | Self::Unsupported(text) | Self::Refused(text) => text,
        }
    }

    pub fn passes(&self) -> bool {
        matches!(self, Self::Pass | Self::PassWide(_))
    }
}

/// The folders in a folder, by name.
pub fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The last part of a path.
pub fn name_of(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Why a case is not claimed, if it is not.
pub fn unclaimed(case: &str) -> Option<&'static str> {
    UNCLAIMED.iter().find(|(name, _)| case.starts_with(name)).map(|(_, why)| *why)
}

/// A case in the ordered kind.
pub fn run_case(folder: &Path, runner: Runner) -> Status {
    let file = std::fs::read(folder.join("model.onnx")).unwrap_or_default();
    let program = match import_program(&file) {
        Ok(program) => program,
        Err(error) => {
            let text = error.to_string();
            return if text.contains("unsupported") { Status::Unsupported(text) } else { Status::Refused(text) };
        }
    };
    let within = run_sets(&program, folder, runner, Limits::default());
    match &within {
        Status::Refused(cause) if cause.contains(" would run") || cause.contains(" would live at once") => {
            match run_sets(&program, folder, runner, WIDE) {
                Status::Pass => Status::PassWide(format!("beyond the limits of a call: {cause}")),
                other => other,
            }
        }
        _ => within,
    }
}

fn run_sets(program: &Program, folder: &Path, runner: Runner, limits: Limits) -> Status {
    let sets = folders(folder);
    let found = sets.iter().map(|set| run_set(program, set, runner, limits)).find(|status| *status != Status::Pass);
    found.unwrap_or(if sets.is_empty() { Status::Refused("it has no inputs".to_owned()) } else { Status::Pass })
}

fn run_set(program: &Program, set: &Path, runner: Runner, limits: Limits) -> Status {
    let inputs = program.inputs.iter().enumerate().map(|(index, port)| read(set, "input", index, port));
    let inputs: Result<Vec<Value>, String> = inputs.collect();
    let run = |inputs| runner(program, inputs, limits).map_err(|fault| fault.to_string());
    let outputs = match inputs.and_then(run) {
        Ok(outputs) => outputs,
        Err(cause) => return Status::Refused(cause),
    };
    for (index, (port, found)) in program.outputs.iter().zip(&outputs).enumerate() {
        let compared = read(set, "output", index, port).map_err(Status::Refused);
        let compared = compared.and_then(|expected| same(&expected, found).map_err(Status::Wrong));
        match compared {
            Ok(()) => {}
            Err(Status::Wrong(text)) => return Status::Wrong(format!("{}: {text}", port.name)),
            Err(status) => return status,
        }
    }
    Status::Pass
}

/// A value of a set.
pub fn read(set: &Path, word: &str, index: usize, port: &Port) -> Result<Value, String> {
    let path = set.join(format!("{word}_{index}.pb"));
    let bytes = std::fs::read(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    read_value(&bytes, &port.kind).map_err(|error| error.to_string())
}

/// Whether a value is the expected one by the tolerance of the standard's own runner, or where not.
pub fn same(expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Tensor(expected), Value::Tensor(found)) => near(expected, found),
        (Value::Sequence(expected), Value::Sequence(found)) if expected.len() == found.len() => {
            expected.iter().zip(found.iter()).try_for_each(|(expected, found)| same(expected, found))
        }
        (Value::Map(keys, values), Value::Map(found_keys, found_values)) => {
            near(keys, found_keys)?;
            near(values, found_values)
        }
        (Value::Nothing, Value::Nothing) => Ok(()),
        (expected, found) => Err(format!("found {found}, expected {expected}")),
    }
}

fn near(expected: &Array, found: &Array) -> Result<(), String> {
    if expected.shape() != found.shape() || expected.element() != found.element() {
        let (found, expected) = ((found.element(), found.shape()), (expected.element(), expected.shape()));
        return Err(format!("found {} {:?}, expected {} {:?}", found.0, found.1, expected.0, expected.1));
    }
    let relative = if expected.element() == Element::BF16 { 1.0 / 64.0 } else { 1e-3 };
    let (Some(wanted), Some(given)) = (numbers(expected), numbers(found)) else {
        let both = || format!("found {:?}, expected {:?}", found.data(), expected.data());
        return if expected == found { Ok(()) } else { Err(both()) };
    };
    for (index, (wanted, given)) in wanted.iter().zip(&given).enumerate() {
        let close = (given - wanted).abs() <= 1e-7 + relative * wanted.abs();
        if !(close || given == wanted || given.is_nan() && wanted.is_nan()) {
            return Err(format!("found {given} at {index}, expected {wanted}"));
        }
    }
    Ok(())
}

/// The numbers of a tensor, complex ones as two; texts have none.
pub fn numbers(array: &Array) -> Option<Vec<f64>> {
    match array.data() {
        Data::C64(values) => Some(values.as_flattened().iter().map(|&value| value.into()).collect()),
        Data::C128(values) => Some(values.as_flattened().to_vec()),
        _ => match array.doubles() {
            Some(values) => Some(values.to_vec()),
            None => array.integers().map(|values| values.into_iter().map(|value| value as f64).collect()),
        },
    }
}
