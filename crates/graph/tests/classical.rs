//! Classical models as scikit-learn, XGBoost and LightGBM export them: the labels of onnxruntime, and its scores within single precision.
//!
//! The case folders are made by `models/onnx/classical.py`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use graph::onnx::{import_program, read_value};
use graph::program::{Array, Limits, Port, Program, Value, encoding};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/onnx/classical");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn values(folder: &Path, word: &str, ports: &[Port]) -> Vec<Value> {
    let read = |(index, port): (usize, &Port)| {
        let path = folder.join("test_data_set_0").join(format!("{word}_{index}.pb"));
        read_value(&std::fs::read(path).unwrap(), &port.kind).unwrap()
    };
    ports.iter().enumerate().map(read).collect()
}

/// How far two values are apart: floats relative to 1 or their magnitude, all else equal or infinitely far.
fn distance(found: &Value, expected: &Value) -> f64 {
    match (found, expected) {
        (Value::Tensor(found), Value::Tensor(expected)) => apart(found, expected),
        (Value::Sequence(found), Value::Sequence(expected)) if found.len() == expected.len() => {
            found.iter().zip(expected.iter()).map(|(found, expected)| distance(found, expected)).fold(0.0, f64::max)
        }
        (Value::Map(keys, values), Value::Map(other_keys, others)) if keys == other_keys => apart(values, others),
        _ => f64::INFINITY,
    }
}

fn apart(found: &Array, expected: &Array) -> f64 {
    if found == expected {
        return 0.0;
    }
    match (found.doubles(), expected.doubles()) {
        (Some(a), Some(b)) if found.shape() == expected.shape() => {
            a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
        }
        _ => f64::INFINITY,
    }
}

fn program(folder: &Path) -> Program {
    import_program(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap()
}

#[test]
fn every_exported_model_answers_as_its_own_runtime_does() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let program = program(&folder);
        let outputs = program.run(values(&folder, "input", &program.inputs), Limits::default());
        let expected = values(&folder, "output", &program.outputs);
        let far = outputs.map(|outputs| {
            outputs.iter().zip(&expected).map(|(found, expected)| distance(found, expected)).fold(0.0, f64::max)
        });
        if far.as_ref().map_or(true, |&far| far > 2e-5) {
            wrong.push(format!("{}: {far:?}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_exported_model_read_from_its_bytes_computes_the_same_bits() {
    for folder in folders() {
        let program = program(&folder);
        let again = encoding::read(&encoding::write(&program)).unwrap();
        let inputs = || values(&folder, "input", &program.inputs);
        // The same program twice: what the first run derived from the attributes changes nothing.
        let first = program.trace(inputs(), Limits::default()).unwrap().1;
        assert_eq!(program.trace(inputs(), Limits::default()).unwrap().1, first);
        assert_eq!(again.trace(inputs(), Limits::default()).unwrap().1, first, "{}", folder.display());
    }
}
