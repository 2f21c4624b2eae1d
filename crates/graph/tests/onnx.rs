//! Every ONNX operator that is read computes what another runtime says it does (`vectors/onnx.json`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use graph::{Data, Tensor, evaluate, onnx::import};
use serde_json::Value;

const VECTORS: &str = include_str!("vectors/onnx.json");
const ROWS_MAX: usize = 8;

fn tensor(value: &Value) -> Tensor {
    let list = |name: &str| value[name].as_array().unwrap().iter();
    let shape: Vec<usize> = list("shape").map(|size| size.as_u64().unwrap() as usize).collect();
    let data = list("data").map(|value| value.as_f64().unwrap() as f32).collect();
    Tensor::new(&shape, Data::F32(data)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_vector_is_met_within_a_few_units_of_the_last_place() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert!(vectors.len() > 35);
    for vector in &vectors {
        let name = &vector["name"];
        let checked = import(&bytes(vector["file"].as_str().unwrap())).unwrap().check(ROWS_MAX).unwrap();
        let found = evaluate(&checked, &[tensor(&vector["x"])]).unwrap().remove(0);
        let expected = tensor(&vector["y"]);
        assert_eq!(found.shape(), expected.shape(), "{name}");
        for (found, expected) in found.floats().unwrap().iter().zip(expected.floats().unwrap()) {
            assert!((found - expected).abs() <= 4e-7 * expected.abs().max(1.0), "{name}: {found} {expected}");
        }
    }
}

#[test]
fn every_ordered_operator_of_tensor_models_is_met_by_a_vector() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let mut met = BTreeSet::new();
    for vector in &vectors {
        let graph = import(&bytes(vector["file"].as_str().unwrap())).unwrap();
        met.extend(graph.nodes.iter().map(|node| node.operator.name));
    }
    let expected = [
        "add_f32",
        "clip_f32",
        "concat",
        "divide_f32",
        "exp_f32",
        "linear_f32",
        "mean_f32",
        "multiply_f32",
        "relu_f32",
        "reshape",
        "sigmoid_f32",
        "softmax_f32",
        "subtract_f32",
        "tanh_f32",
    ];
    assert_eq!(met, BTreeSet::from(expected));
}
