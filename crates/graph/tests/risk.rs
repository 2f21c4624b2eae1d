//! Facts about the published risk model: what its ONNX file becomes, and which bits come out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use graph::onnx::{Arithmetic, CompileError, OnnxSources, compile_onnx, import};
use graph::{Checked, Data, Fault, Model, Tensor, evaluate};
use serde_json::Value;

const ROWS_MAX: usize = 256;
const INTEGER_ROOT: &str = "00b82d49d02473de220e10c0c60b6852cf24b08f9621be1cf75b198866b06702";
const ORDERED_ROOT: &str = "2712591a4c0ee8a4b594d7dc154a07c04096db1803e3e3899e3aa9e32c19566d";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&read(name)).unwrap()
}

/// A JSON matrix as a tensor.
fn tensor(value: &Value) -> Tensor {
    let rows = value.as_array().unwrap();
    let width = rows[0].as_array().unwrap().len();
    let values = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap() as f32).collect();
    Tensor::new(&[rows.len(), width], Data::F32(values)).unwrap()
}

fn inputs(named: &Value) -> Vec<Tensor> {
    ["returns", "statistics"].map(|name| tensor(&named[name])).to_vec()
}

fn published(file: &str) -> Model {
    Model::from_artefact(&read(file).into()).unwrap().0
}

fn compile(name: &str, arithmetic: Arithmetic, calibration: &[Vec<Tensor>]) -> Result<Model, CompileError> {
    let file = read("risk.onnx");
    compile_onnx(&OnnxSources { name, arithmetic, file: (&file).into(), calibration, rows_max: ROWS_MAX })
}

fn differences(one: &Checked, other: &Checked, named: &Value) -> Vec<(String, f32, f32)> {
    let outputs = |checked| evaluate(checked, &inputs(named)).unwrap();
    let pairs = outputs(one).into_iter().zip(outputs(other));
    let names = one.graph().outputs.iter().map(|output| output.name.clone());
    names.zip(pairs).map(|(name, (one, other))| (name, most(&one, &other, 1.0), most(&one, &other, 0.0))).collect()
}

/// The largest difference; relative to `other` where `floor` is 0.
fn most(one: &Tensor, other: &Tensor, floor: f32) -> f32 {
    let (one, other) = (one.floats().unwrap(), other.floats().unwrap());
    assert_eq!(one.len(), other.len());
    let relative = |(one, other): (&f32, &f32)| (one - other).abs() / if floor > 0.0 { floor } else { other.abs() };
    one.iter().zip(other).map(relative).fold(0.0, f32::max)
}

#[test]
fn compiling_gives_the_published_artefacts_byte_for_byte() {
    let calibration = [inputs(&json("calibration.json"))];
    let cases = [
        ("risk-scorer", Arithmetic::Integer, "risk-integer.ogm", INTEGER_ROOT),
        ("risk-scorer-ordered", Arithmetic::Ordered, "risk-ordered.ogm", ORDERED_ROOT),
    ];
    for (name, arithmetic, file, root) in cases {
        let model = compile(name, arithmetic, &calibration).unwrap();
        // After a change of format or training; the manifest is written anew by `export.py --manifest`.
        if std::env::var_os("UPDATE_ARTEFACTS").is_some() {
            std::fs::write(path(file), model.to_artefact()).unwrap();
        }
        assert!(model.to_artefact() == read(file), "{file} differs");
        assert_eq!(format!("{:?}", model.root()), root, "{file}");
        assert_eq!(Model::from_artefact(&read(file).into()).unwrap().1, model.root());
    }
}

#[test]
fn the_published_artefacts_give_the_frozen_bits() {
    let (frozen, expected) = (json("frozen.json"), json("expected.json"));
    for file in ["risk-integer.ogm", "risk-ordered.ogm"] {
        let model = published(file);
        let outputs = evaluate(&model.graph, &inputs(&expected["inputs"])).unwrap();
        for (output, found) in model.graph.graph().outputs.iter().zip(&outputs) {
            let bits: Vec<String> = found.floats().unwrap().iter().map(|x| format!("{:08x}", x.to_bits())).collect();
            assert_eq!(bits.join(" "), frozen[file][&output.name].as_str().unwrap(), "{file} {}", output.name);
        }
    }
}

#[test]
fn the_ordered_model_agrees_with_the_recorded_outputs_of_another_runtime() {
    let expected = json("expected.json");
    let checked = published("risk-ordered.ogm").graph;
    let outputs = evaluate(&checked, &inputs(&expected["inputs"])).unwrap();
    for (output, found) in checked.graph().outputs.iter().zip(&outputs) {
        let difference = most(found, &tensor(&expected["outputs"][&output.name]), 1.0);
        assert!(difference < 2e-6, "{}: {difference}", output.name);
    }
}

#[test]
fn the_integer_model_is_integer_throughout_and_as_near_as_the_card_says() {
    let (integer, ordered) = (published("risk-integer.ogm").graph, published("risk-ordered.ogm").graph);
    assert!(integer.is_integer() && !ordered.is_integer());
    for named in [&json("expected.json")["inputs"], &json("calibration.json")] {
        for (name, absolute, relative) in differences(&integer, &ordered, named) {
            match name.as_str() {
                "volatility" => assert!(relative < 0.02, "{name}: {relative}"),
                "risk_score" => assert!(absolute < 0.01, "{name}: {absolute}"),
                _ => assert!(absolute < 0.02, "{name}: {absolute}"),
            }
        }
    }
}

#[test]
fn a_row_comes_out_the_same_alone_and_in_any_batch() {
    let named = &json("expected.json")["inputs"];
    for file in ["risk-integer.ogm", "risk-ordered.ogm"] {
        let checked = published(file).graph;
        let all = evaluate(&checked, &inputs(named)).unwrap();
        for row in [0, 7, 31] {
            let alone =
                serde_json::json!({"returns": [named["returns"][row]], "statistics": [named["statistics"][row]]});
            for (one, many) in evaluate(&checked, &inputs(&alone)).unwrap().iter().zip(&all) {
                let (_, width) = many.rows_and_width();
                assert_eq!(one.floats().unwrap(), &many.floats().unwrap()[row * width..][..width], "{file} row {row}");
            }
        }
    }
}

#[test]
fn the_example_is_scored_as_turbulent() {
    let checked = published("risk-integer.ogm").graph;
    let outputs = evaluate(&checked, &inputs(&json("example.json"))).unwrap();
    let [volatility, risk_score, regime] = [0, 1, 2].map(|index| outputs[index].floats().unwrap());
    assert!(volatility[0] > 1.0 && risk_score[0] > 0.3 && regime[2] > 0.5, "{volatility:?} {risk_score:?} {regime:?}");
}

#[test]
fn inputs_that_the_model_does_not_take_are_refused() {
    let checked = published("risk-integer.ogm").graph;
    let good = inputs(&json("example.json"));
    let with = |shape: &[usize], data: Data| vec![Tensor::new(shape, data).unwrap(), good[1].clone()];
    let cases = [
        (vec![good[0].clone()], "1 inputs were passed, expected 2"),
        (with(&[1, 31], Data::F32(vec![0.0; 31])), "input returns has shape [1, 31], expected [rows, 32]"),
        (with(&[1, 32], Data::I32(vec![0; 32])), "input returns has elements i32, expected f32"),
        (with(&[2, 32], Data::F32(vec![0.0; 64])), "rows"),
        (with(&[1, 32], Data::F32(vec![f32::NAN; 32])), "input returns holds a float that is not finite at index 0"),
        (with(&[1, 32], Data::F32(vec![f32::INFINITY; 32])), "not finite"),
    ];
    for (inputs, said) in cases {
        let fault: Fault = evaluate(&checked, &inputs).unwrap_err();
        assert!(fault.to_string().contains(said), "{fault} lacks {said:?}");
    }
}

#[test]
fn the_integer_form_needs_calibration_that_fits() {
    assert_eq!(compile("risk-scorer", Arithmetic::Integer, &[]).unwrap_err(), CompileError::NoCalibration);
    let refused = compile("risk-scorer", Arithmetic::Integer, &[vec![]]).unwrap_err();
    assert!(matches!(refused, CompileError::Calibration { .. }), "{refused}");
    assert!(import(b"no model").is_err());
}
