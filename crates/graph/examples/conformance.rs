//! Runs the backend test of the ONNX standard and prints what passes, per operator.
//!
//! `cargo run -p graph --example conformance -- DATA [--list STATUS] [--case NAME] [--table]`, where DATA is what `models/onnx/cases.py`
//! wrote. `--list` prints the cases of one status (pass, wrong, unsupported, refused), `--case` says all about one.
#![allow(clippy::print_stdout, reason = "a program that prints a report")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::onnx::{import_program, read_value};
use graph::program::{Array, Data, Element, Limits, Program, Value};

/// Cases of the standard's list, by how their names begin, that our operators do not claim to answer, and why. Whatever else fails of an operator that
/// we have is a mistake.
const UNCLAIMED: &[(&str, &str)] = &[
    (
        "test_bernoulli",
        "draws of one library's generator in a state that no file holds; the standard calls the operator non-deterministic",
    ),
    ("test_dft_inverse", "where the sum is 0, the rounding of one library's transform in binary32"),
    ("test_image_decoder", "unsupported, and refused by name"),
];

/// What became of a case.
#[derive(Clone, PartialEq)]
enum Status {
    Pass,
    Wrong(String),
    Unsupported(String),
    Refused(String),
}

impl Status {
    fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Wrong(_) => "wrong",
            Self::Unsupported(_) => "unsupported",
            Self::Refused(_) => "refused",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Wrong(text) | Self::Unsupported(text) | Self::Refused(text) => text,
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let Some(data) = arguments.first() else {
        println!("usage: conformance DATA [--list STATUS] [--case NAME] [--operators]");
        std::process::exit(2);
    };
    let (list, only) = (option("--list"), option("--case"));
    let mut operators: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut broken: Vec<String> = Vec::new();
    for kind in ["node", "simple", "pytorch-converted", "pytorch-operator", "real"] {
        let (mut passed, mut all) = (0, 0);
        for folder in folders(&Path::new(data).join(kind)) {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            let (operator, status) = run_case(&folder);
            all += 1;
            passed += usize::from(status == Status::Pass);
            if kind == "node" {
                let row = operators.entry(operator_of(&name, operator)).or_default();
                row.0 += usize::from(status == Status::Pass);
                row.1 += 1;
                let is_claimed = !UNCLAIMED.iter().any(|(unclaimed, _)| name.starts_with(unclaimed));
                broken.extend((is_claimed && status != Status::Pass).then(|| name.clone()));
            }
            let wanted = list.as_ref().is_some_and(|list| list == status.word() || list == "all");
            if wanted || only.is_some() {
                println!("{} {name}: {}", status.word(), status.text());
            }
        }
        println!("{kind}: {passed} of {all}");
    }
    if arguments.iter().any(|argument| argument == "--operators") {
        operators.iter().for_each(|(name, (passed, all))| println!("| {name} | {passed} | {all} |"));
    }
    UNCLAIMED.iter().for_each(|(name, why)| println!("unclaimed {name}…: {why}"));
    broken.iter().for_each(|name| println!("claimed, and fails: {name}"));
    std::process::exit(i32::from(!broken.is_empty()));
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Cases of a function's body count for the function.
fn operator_of(case: &str, first: String) -> String {
    if case.contains("_expanded") { "(function bodies)".to_owned() } else { first }
}

fn run_case(folder: &Path) -> (String, Status) {
    let file = std::fs::read(folder.join("model.onnx")).unwrap_or_default();
    let program = match import_program(&file) {
        Ok(program) => program,
        Err(error) => {
            let text = error.to_string();
            let first = text.split('(').nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("?");
            let first = first.trim_start_matches("ai.onnx.").to_owned();
            let status = if text.contains("unsupported") { Status::Unsupported(text) } else { Status::Refused(text) };
            return (first, status);
        }
    };
    let first = program.body.nodes.first().map_or("Constant", |node| node.operator.name).to_owned();
    for set in folders(folder) {
        let status = run_set(&program, &set);
        if status != Status::Pass {
            return (first, status);
        }
    }
    (first, Status::Pass)
}

fn run_set(program: &Program, set: &Path) -> Status {
    let mut inputs = Vec::new();
    for (index, port) in program.inputs.iter().enumerate() {
        let bytes = std::fs::read(set.join(format!("input_{index}.pb"))).unwrap_or_default();
        match read_value(&bytes, &port.kind) {
            Ok(value) => inputs.push(value),
            Err(error) => return Status::Refused(error.to_string()),
        }
    }
    let outputs = match program.run(inputs, Limits::default()) {
        Ok(outputs) => outputs,
        Err(fault) => return Status::Refused(fault.to_string()),
    };
    for (index, (port, found)) in program.outputs.iter().zip(&outputs).enumerate() {
        let path = set.join(format!("output_{index}.pb"));
        let Ok(bytes) = std::fs::read(path) else { continue };
        match read_value(&bytes, &port.kind) {
            Ok(expected) => {
                if let Err(text) = same(&expected, found) {
                    return Status::Wrong(format!("{}: {text}", port.name));
                }
            }
            Err(error) => return Status::Refused(error.to_string()),
        }
    }
    Status::Pass
}

fn same(expected: &Value, found: &Value) -> Result<(), String> {
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

/// The tolerance of the standard's own runner.
fn near(expected: &Array, found: &Array) -> Result<(), String> {
    if expected.shape() != found.shape() || expected.element() != found.element() {
        return Err(format!(
            "found {} {:?}, expected {} {:?}",
            found.element(),
            found.shape(),
            expected.element(),
            expected.shape()
        ));
    }
    let relative = if expected.element() == Element::BF16 { 1.0 / 64.0 } else { 1e-3 };
    let (Some(wanted), Some(given)) = (numbers(expected), numbers(found)) else {
        return if expected == found {
            Ok(())
        } else {
            Err(format!("found {:?}, expected {:?}", found.data(), expected.data()))
        };
    };
    for (index, (wanted, given)) in wanted.iter().zip(&given).enumerate() {
        let close = (given - wanted).abs() <= 1e-7 + relative * wanted.abs();
        if !(close || given == wanted || given.is_nan() && wanted.is_nan()) {
            return Err(format!("found {given} at {index}, expected {wanted}"));
        }
    }
    Ok(())
}

fn numbers(array: &Array) -> Option<Vec<f64>> {
    match array.data() {
        Data::C64(values) => Some(values.as_flattened().iter().map(|&value| value.into()).collect()),
        Data::C128(values) => Some(values.as_flattened().to_vec()),
        _ => match array.doubles() {
            Some(values) => Some(values.to_vec()),
            None => array.integers().map(|values| values.into_iter().map(|value| value as f64).collect()),
        },
    }
}
