//! Classical and recurrent models as integers through the engine: the bits of the reference evaluator at every level, and the
//! labels of the floats that they were compiled from.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use engine::{Level, Model, Options, fidelity};
use graph::onnx::{Arithmetic, OnnxSources, compile_onnx, import_program, read_value};
use graph::program::{Port, Value};
use graph::{Data, Tensor, evaluate};

const CASES: [&str; 10] = [
    "classical/gradient_boosting_three",
    "classical/lightgbm_three",
    "classical/logistic_three_words",
    "classical/random_forest_two",
    "classical/ridge_two_targets",
    "classical/scaled",
    "classical/xgboost_two",
    "recurrent/gru_bidirectional",
    "recurrent/lstm_streaming",
    "recurrent/lstm_two_layers",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/onnx").join(name)
}

fn inputs(folder: &Path, ports: &[Port]) -> Vec<Tensor> {
    let read = |(index, port): (usize, &Port)| {
        let bytes = std::fs::read(folder.join(format!("test_data_set_0/input_{index}.pb"))).unwrap();
        let Value::Tensor(array) = read_value(&bytes, &port.kind).unwrap() else { panic!("a tensor") };
        Tensor::new(array.shape(), Data::F32(array.floats().unwrap().into_owned())).unwrap()
    };
    ports.iter().enumerate().map(read).collect()
}

/// The file, its inputs, and the integer artefact that they calibrate.
fn compiled(name: &str) -> (Vec<u8>, Vec<Tensor>, Vec<u8>) {
    let file = std::fs::read(folder(name).join("model.onnx")).unwrap();
    let inputs = inputs(&folder(name), &import_program(&file).unwrap().inputs);
    let calibration = [inputs.clone()];
    let sources = OnnxSources {
        name,
        arithmetic: Arithmetic::Integer,
        file: (&file).into(),
        calibration: &calibration,
        rows_max: 64,
    };
    let artefact = compile_onnx(&sources).unwrap().to_artefact();
    (file, inputs, artefact)
}

/// Run on other CPUs too, where what is printed must be the same.
#[test]
fn every_level_has_one_digest_of_classical_and_recurrent_answers() {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for name in CASES {
        let (_, inputs, artefact) = compiled(name);
        let (reference, _) = graph::Model::from_artefact(&artefact.clone().into()).unwrap();
        let expected = evaluate(&reference.graph, &inputs).unwrap();
        for level in Level::available() {
            for threads in [1, 3] {
                let model = Model::load_with(artefact.clone(), Options { threads, level }).unwrap();
                let found = model.as_tensor().unwrap().run_here(&inputs).unwrap();
                assert!(found == expected, "{name} {} {threads} threads", level.name());
            }
        }
        for byte in expected.iter().flat_map(Tensor::to_bytes) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("digest {digest:016x}");
}

#[test]
fn the_card_s_figures_of_classifiers_are_those_of_their_labels() {
    for name in CASES.into_iter().filter(|name| name.starts_with("classical")) {
        let (file, inputs, artefact) = compiled(name);
        let model = Model::load(artefact).unwrap();
        let found = fidelity(model.as_tensor().unwrap(), &file, &[inputs]).unwrap();
        let gives_labels = !name.contains("ridge");
        assert_eq!(found.labels, gives_labels.then_some(1.0), "{name}");
        assert!(found.cosine > 0.999_99 && found.agreement == 1.0, "{name}: {found:?}");
    }
}
