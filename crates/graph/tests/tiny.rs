//! The tiny networks in `models/tiny`: files as exporters write them become integer graphs whose roots are frozen and which say
//! nearly what onnxruntime says in floats, also of inputs that calibration never saw.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use graph::{
    Data, Element, Model, Tensor, evaluate,
    onnx::{Arithmetic, CompileError, OnnxSources, compile_onnx, onnx_inputs},
};
use serde_json::Value;

const ROWS_MAX: usize = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.onnx"))).unwrap()
}

/// Sets of inputs, and the floats that onnxruntime gives for each.
fn sets(name: &str) -> Vec<(Vec<Tensor>, Vec<f64>)> {
    let cases: Value = serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap();
    let inputs = onnx_inputs(&file(name)).unwrap();
    let each = |case: &Value| {
        let tensors = inputs.iter().map(|(name, element, _)| tensor(&case["inputs"][name], *element)).collect();
        (tensors, case["output"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect())
    };
    cases.as_array().unwrap().iter().map(each).collect()
}

fn tensor(value: &Value, element: Element) -> Tensor {
    let (mut shape, mut values) = (Vec::new(), vec![value]);
    while let Value::Array(first) = values[0] {
        shape.push(first.len());
        values = values.into_iter().flat_map(|value| value.as_array().unwrap()).collect();
    }
    let data = match element {
        Element::F32 => Data::F32(values.iter().map(|value| value.as_f64().unwrap() as f32).collect()),
        _ => Data::I64(values.iter().map(|value| value.as_i64().unwrap()).collect()),
    };
    Tensor::new(&shape, data).unwrap()
}

fn compile(name: &str, calibration: &[Vec<Tensor>]) -> Result<Model, CompileError> {
    let file = file(name);
    compile_onnx(&OnnxSources {
        name,
        arithmetic: Arithmetic::Integer,
        file: (&file).into(),
        calibration,
        rows_max: ROWS_MAX,
    })
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

fn check(name: &str, root: &str, least: f64) {
    let sets = sets(name);
    let calibration: Vec<Vec<Tensor>> = sets.iter().take(2).map(|(inputs, _)| inputs.clone()).collect();
    let model = compile(name, &calibration).unwrap();
    assert!(model.graph.is_integer());
    for (index, (inputs, expected)) in sets.iter().enumerate() {
        let found = evaluate(&model.graph, inputs).unwrap().remove(0);
        let found: Vec<f64> = found.floats().unwrap().iter().map(|&value| value.into()).collect();
        let (width, near) = (expected.len() / 3, cosine(&found, expected));
        assert!(near >= least, "{name} set {index}: cosine {near}");
        for (found, expected) in found.chunks(width).zip(expected.chunks(width)) {
            let near = cosine(found, expected);
            assert!(near >= least - 0.01, "{name} set {index}: a row's cosine is {near}");
        }
    }
    assert_eq!(model.root().to_string(), root, "{name}");
    // A batch is its rows, each as if alone.
    let alone = |tensor: &Tensor| {
        let sizes: Vec<usize> = [1].into_iter().chain(tensor.shape()[1..].iter().copied()).collect();
        let bytes = tensor.to_bytes();
        Tensor::from_bytes(tensor.element(), &sizes, &bytes[..bytes.len() / tensor.shape()[0]]).unwrap()
    };
    let (all, first) = (&sets[2].0, sets[2].0.iter().map(alone).collect::<Vec<Tensor>>());
    let (all, first) =
        (evaluate(&model.graph, all).unwrap().remove(0), evaluate(&model.graph, &first).unwrap().remove(0));
    assert_eq!(&all.floats().unwrap()[..first.len()], first.floats().unwrap());
}

#[test]
fn the_integer_cnn_says_nearly_what_the_floats_say() {
    check("cnn", CNN_ROOT, 0.995);
}

#[test]
fn the_integer_encoder_says_nearly_what_the_floats_say() {
    check("encoder", ENCODER_ROOT, 0.99);
}

const CNN_ROOT: &str = "3fb39b0532d2d2bb79691bb652dbcc9d7b347e96a23719fcb5bfcd41996666c9";
const ENCODER_ROOT: &str = "b042a189c8d2da22f23eae561c5b213e4f1a0660f6e5311bfd4b94af22b97363";

#[test]
fn calibration_that_is_missing_or_does_not_fit_is_refused() {
    assert_eq!(compile("cnn", &[]).unwrap_err(), CompileError::NoCalibration);
    let wrong = vec![vec![Tensor::new(&[1, 3, 16, 15], Data::F32(vec![0.0; 720])).unwrap()]];
    let said = compile("cnn", &wrong).unwrap_err().to_string();
    assert!(said.contains("input image is tensor(float) [1, 3, 16, 15]") || said.contains("expected"), "{said}");
    let ids = |word: i64| Tensor::new(&[1, 4], Data::I64(vec![word, 1, 2, 3])).unwrap();
    let masks = |bit: i64| Tensor::new(&[1, 4], Data::I64(vec![bit, 1, 1, 1])).unwrap();
    let said = compile("encoder", &[vec![ids(3), masks(2)]]).unwrap_err().to_string();
    assert!(said.contains("input \"attention_mask\": holds integers outside of 0 to 1"), "{said}");
    let said = compile("encoder", &[vec![ids(60), masks(1)]]).unwrap_err().to_string();
    assert!(said.contains("failed to run the model on its calibration inputs"), "{said}");
}
