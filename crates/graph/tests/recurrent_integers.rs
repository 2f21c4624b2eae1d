//! Recurrent models as integers: near onnxruntime's floats, whatever their cells, directions and layers.
//!
//! The case folders are made by `models/onnx/recurrent.py`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use graph::onnx::{Arithmetic, OnnxSources, compile_onnx, import_program, read_value};
use graph::program::{Limits, Port, Value};
use graph::{Data, Model, Tensor, evaluate};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/onnx/recurrent")
}

fn read(folder: &Path, word: &str, ports: &[Port]) -> Vec<Tensor> {
    let read = |(index, port): (usize, &Port)| {
        let path = folder.join("test_data_set_0").join(format!("{word}_{index}.pb"));
        let Value::Tensor(array) = read_value(&std::fs::read(path).unwrap(), &port.kind).unwrap() else {
            panic!("a tensor")
        };
        Tensor::new(array.shape(), Data::F32(array.floats().unwrap().into_owned())).unwrap()
    };
    ports.iter().enumerate().map(read).collect()
}

fn compile(folder: &Path, calibration: &[Vec<Tensor>]) -> Model {
    let file = std::fs::read(folder.join("model.onnx")).unwrap();
    let sources =
        OnnxSources { name: "cell", arithmetic: Arithmetic::Integer, file: (&file).into(), calibration, rows_max: 16 };
    compile_onnx(&sources).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

/// Cosine, and the greatest distance, to what is expected.
fn apart(found: &Tensor, expected: &Tensor) -> (f64, f64) {
    assert_eq!(found.shape(), expected.shape());
    let floats = |tensor: &Tensor| tensor.floats().unwrap().iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let (found, expected) = (floats(found), floats(expected));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let far = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    (dot(&found, &expected) / (dot(&found, &found) * dot(&expected, &expected)).sqrt(), far)
}

#[test]
fn every_cell_stays_near_its_own_runtime() {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert_eq!(folders.len(), 13);
    let mut wrong = Vec::new();
    for folder in folders {
        let program = import_program(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
        let inputs = read(&folder, "input", &program.inputs);
        let model = compile(&folder, std::slice::from_ref(&inputs));
        assert!(model.graph.is_integer());
        let (again, _) = Model::from_artefact(&model.to_artefact().into()).unwrap();
        let found = evaluate(&again.graph, &inputs).unwrap();
        for (found, expected) in found.iter().zip(read(&folder, "output", &program.outputs)) {
            let (cosine, far) = apart(found, &expected);
            println!("{}: cosine {cosine:.6}, at most {far:.5} apart", folder.display());
            if cosine < 0.9998 || far > 0.02 {
                wrong.push(format!("{}: cosine {cosine}, {far} apart", folder.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_sequence_in_a_batch_is_as_if_alone() {
    for name in ["lstm_bidirectional", "gru_classifier"] {
        let folder = root().join(name);
        let program = import_program(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
        let inputs = read(&folder, "input", &program.inputs);
        let model = compile(&folder, std::slice::from_ref(&inputs));
        let all = evaluate(&model.graph, &inputs).unwrap().remove(0);
        let (rows, values) = (inputs[0].shape()[0], inputs[0].floats().unwrap());
        let width = values.len() / rows;
        for row in 0..rows {
            let shape = [&[1], &inputs[0].shape()[1..]].concat();
            let one = Tensor::new(&shape, Data::F32(values[row * width..][..width].to_vec())).unwrap();
            let alone = evaluate(&model.graph, &[one]).unwrap().remove(0);
            let own = alone.len();
            assert_eq!(alone.floats().unwrap(), &all.floats().unwrap()[row * own..][..own], "{name} row {row}");
        }
    }
}

#[test]
fn a_stream_of_steps_stays_near_the_floats() {
    // Forty steps, the states of each handed to the next: errors do not grow.
    let folder = root().join("lstm_streaming");
    let program = import_program(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let first = read(&folder, "input", &program.inputs);
    let model = compile(&folder, std::slice::from_ref(&first));
    let (mut floats, mut integers) = (first.clone(), first.clone());
    for step in 0..40 {
        let x: Vec<f32> = (0..6).map(|at| ((step * 7 + at * 3) % 11) as f32 / 5.0 - 1.0).collect();
        let x = Tensor::new(&[1, 1, 6], Data::F32(x)).unwrap();
        let of = |inputs: &[Tensor]| {
            let value = |tensor: &Tensor| {
                let array = graph::program::Array::f32s(tensor.shape(), tensor.floats().unwrap().to_vec()).unwrap();
                Value::from(array)
            };
            program.run(inputs.iter().map(value).collect(), Limits::default()).unwrap()
        };
        (floats[0], integers[0]) = (x.clone(), x);
        for (place, value) in of(&floats).into_iter().enumerate() {
            let array = value.as_tensor().unwrap().clone();
            floats[place + 1] = Tensor::new(array.shape(), Data::F32(array.floats().unwrap().into_owned())).unwrap();
        }
        for (place, value) in evaluate(&model.graph, &integers).unwrap().into_iter().enumerate() {
            integers[place + 1] = value;
        }
        let (_, far) = apart(&integers[1], &floats[1]);
        assert!(far < 0.02, "step {step}: {far}");
    }
}
