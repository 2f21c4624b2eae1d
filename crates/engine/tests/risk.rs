//! The published risk model through the engine: the bits of the reference evaluator, whatever the batch, the threads and
//! the CPU's instructions, and errors that say what was expected.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::LazyLock;

use engine::{Level, Model, Options, RunError};
use graph::{Data, evaluate};
use proptest::prelude::*;
use protocol::{Bytes, List, Tensor, Text};

const FILES: [&str; 2] = ["risk-integer.ogm", "risk-ordered.ogm"];
const WIDTHS: [(&str, usize); 2] = [("returns", 32), ("statistics", 4)];

/// Each artefact with its reference and one engine for every level of this CPU, on one thread and on three.
static MODELS: LazyLock<Vec<(graph::Model, Vec<Model>)>> = LazyLock::new(|| FILES.map(load).into());

fn load(file: &str) -> (graph::Model, Vec<Model>) {
    let artefact = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk").join(file)).unwrap();
    let reference = graph::Model::from_artefact(&artefact.clone().into()).unwrap().0;
    let levels = Level::available().into_iter().flat_map(|level| [1, 3].map(|threads| Options { threads, level }));
    (reference, levels.map(|options| Model::load_with(artefact.clone(), options).unwrap()).collect())
}

fn wire(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    Tensor {
        name: Text::new(name).unwrap(),
        element: protocol::Element::F32,
        shape: List::new(shape.iter().map(|&size| size as u64).collect::<Vec<u64>>()).unwrap(),
        data: Bytes::new(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()).unwrap(),
    }
}

/// Both inputs, cut from one list of values.
fn inputs(values: &[f32]) -> Vec<Tensor> {
    let rows = values.len() / 36;
    let (returns, statistics) = values.split_at(rows * 32);
    vec![wire("returns", &[rows, 32], returns), wire("statistics", &[rows, 4], &statistics[..rows * 4])]
}

fn check(values: &[f32]) {
    let rows = values.len() / 36;
    let (returns, rest) = values.split_at(rows * 32);
    let of = |width: usize, values: &[f32]| graph::Tensor::new(&[rows, width], Data::F32(values.to_vec())).unwrap();
    for (reference, engines) in MODELS.iter() {
        let expected = evaluate(&reference.graph, &[of(32, returns), of(4, &rest[..rows * 4])]).unwrap();
        for engine in engines {
            let found = engine.as_tensor().unwrap().run(&inputs(values)).unwrap();
            for (expected, found) in expected.iter().zip(&found) {
                assert!(expected.to_bytes() == *found.data, "{:?} of {}", found.name, reference.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_engine_has_the_bits_of_the_reference_evaluator(
        rows in 1..40_usize,
        seed in prop::collection::vec(prop_oneof![4 => -6.0_f32..6.0, 1 => -100.0_f32..100.0], 36),
        step in 1..36_usize,
    ) {
        let values: Vec<f32> = (0..rows * 36).map(|index| seed[index * step % 36] * (1.0 + index as f32 / 999.0)).collect();
        check(&values);
    }
}

#[test]
fn extremes_have_the_bits_of_the_reference_evaluator() {
    for value in [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, 15.0, -15.000_001, 60.0] {
        check(&[value; 72]);
    }
}

#[test]
fn wrong_inputs_are_refused_with_what_was_expected() {
    let [(_, engines), _] = MODELS.as_slice() else { panic!("two models") };
    let model = engines[0].as_tensor().unwrap();
    let good = inputs(&[0.5; 36]);
    let with = |tensor: Tensor| vec![tensor, good[1].clone()];
    let nan = wire("returns", &[1, 32], &[&[0.1; 31][..], &[f32::NAN]].concat());
    let other_type = Tensor { element: protocol::Element::I32, ..good[0].clone() };
    let cases: [(Vec<Tensor>, &[&str]); 9] = [
        (good[..1].to_vec(), &["statistics"]),
        (vec![good[0].clone(), wire("stats", &[1, 4], &[0.0; 4])], &["stats", "returns, statistics"]),
        (with(wire("returns", &[1, 31], &[0.0; 31])), &["returns", "[1, 31]", "[rows, 32]"]),
        (with(wire("returns", &[32], &[0.0; 32])), &["returns", "[32]", "[rows, 32]"]),
        (with(wire("returns", &[2, 32], &[0.0; 64])), &["rows"]),
        (with(wire("returns", &[1, 32], &[0.0; 31])), &["returns", "128", "124"]),
        (with(other_type), &["returns", "f32", "i32"]),
        (with(nan), &["returns", "not finite", "31"]),
        (with(wire("returns", &[1, 32], &[f32::NEG_INFINITY; 32])), &["returns", "not finite", "0"]),
    ];
    for (inputs, said) in cases {
        let error: RunError = model.run(&inputs).unwrap_err();
        let text = error.to_string();
        assert!(said.iter().all(|word| text.contains(word)), "{text} lacks one of {said:?}");
    }
    assert!(model.run(&good).is_ok(), "the model goes on");
}

#[test]
fn the_ports_say_what_the_card_says() {
    for (_, engines) in MODELS.iter() {
        let model = engines[0].as_tensor().unwrap();
        let ports = |ports: &[engine::Port]| -> Vec<(String, Vec<Option<u64>>)> {
            ports.iter().map(|port| (port.name.clone(), port.shape.clone())).collect()
        };
        let expected = WIDTHS.map(|(name, width)| (name.to_owned(), vec![None, Some(width as u64)]));
        assert_eq!(ports(model.inputs()), expected);
        let outputs = [("volatility", 1), ("risk_score", 1), ("regime", 3)];
        assert_eq!(ports(model.outputs()), outputs.map(|(name, width)| (name.to_owned(), vec![None, Some(width)])));
    }
}
