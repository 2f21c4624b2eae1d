//! Classical models as integers: the labels of onnxruntime, and its scores within what the tables of curves cost.
//!
//! The case folders are made by `models/onnx/classical.py`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::{Path, PathBuf};

use graph::onnx::{Arithmetic, CompileError, OnnxSources, compile_onnx, import_program, label_texts, read_value};
use graph::program::{Array, Attribute, Limits, Program, Value};
use graph::{Data, Element, Fault, Tensor, evaluate};

/// Every folder whose operators have an integer form, and how far its scores may be from onnxruntime's.
const FOLDERS: [(&str, f64); 26] = [
    ("decision_tree", 1e-6),
    ("decision_tree_two_targets", 1e-6),
    ("elastic_net", 1e-6),
    ("extra_trees", 1e-6),
    ("gradient_boosting", 1e-6),
    ("gradient_boosting_three", 3e-4),
    ("gradient_boosting_two", 1e-4),
    ("imputed", 1e-6),
    ("lightgbm_missing", 1e-6),
    ("lightgbm_regressor", 1e-6),
    ("lightgbm_three", 3e-4),
    ("lightgbm_two", 1e-4),
    ("linear_regression", 1e-6),
    ("linear_svc", 1e-6),
    ("logistic_three_words", 3e-4),
    ("logistic_two", 1e-4),
    ("perceptron", 2e-2),
    ("random_forest_three", 1e-6),
    ("random_forest_two", 1e-6),
    ("ridge_two_targets", 1e-6),
    ("scaled", 1e-4),
    ("scaled_tree", 1e-6),
    ("xgboost_missing", 1e-4),
    ("xgboost_regressor", 1e-6),
    ("xgboost_three", 3e-4),
    ("xgboost_two", 1e-4),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/onnx/classical").join(name)
}

fn read(name: &str, word: &str, kinds: &[graph::program::Port]) -> Vec<Value> {
    let read = |(index, port): (usize, &graph::program::Port)| {
        let path = folder(name).join("test_data_set_0").join(format!("{word}_{index}.pb"));
        read_value(&std::fs::read(path).unwrap(), &port.kind).unwrap()
    };
    kinds.iter().enumerate().map(read).collect()
}

/// The rows of a value: scores as numbers, labels as numbers too, texts by their place in the list of all.
fn rows(value: &Value, texts: Option<&[std::sync::Arc<str>]>) -> Vec<Vec<f64>> {
    let of = |array: &Array, rows: usize| -> Vec<Vec<f64>> {
        let values: Vec<f64> = match (array.doubles(), array.integers(), array.as_texts()) {
            (Some(values), _, _) => values.into_owned(),
            (_, Some(values), _) => values.into_iter().map(|value| value as f64).collect(),
            (_, _, found) => {
                let place =
                    |text: &std::sync::Arc<str>| texts.unwrap().iter().position(|other| other == text).unwrap() as f64;
                found.unwrap().iter().map(place).collect()
            }
        };
        values.chunks(values.len() / rows).map(<[f64]>::to_vec).collect()
    };
    match value {
        Value::Tensor(array) => of(array, array.shape()[0]),
        Value::Sequence(maps) => {
            let row =
                |map: &Value| if let Value::Map(_, values) = map { of(values, 1).remove(0) } else { panic!("{map}") };
            maps.iter().map(row).collect()
        }
        other => panic!("{other}"),
    }
}

fn found(tensor: &Tensor) -> Vec<Vec<f64>> {
    let values: Vec<f64> = match tensor.floats() {
        Some(values) => values.iter().map(|&value| value.into()).collect(),
        None => tensor.integers().unwrap().into_iter().map(|value| value as f64).collect(),
    };
    values.chunks(values.len() / tensor.shape()[0]).map(<[f64]>::to_vec).collect()
}

/// Those whose inputs trees alone read: missing values are theirs to lead.
const MISSING: [&str; 3] = ["imputed", "lightgbm_missing", "xgboost_missing"];

/// The rows of the case, those with a NaN only where the model takes it.
fn features(name: &str, program: &graph::program::Program) -> (Tensor, Vec<usize>) {
    let Value::Tensor(array) = read(name, "input", &program.inputs).remove(0) else { panic!("a tensor") };
    let (values, width) = (array.floats().unwrap(), array.shape()[1]);
    let finite = |row: &usize| values[row * width..][..width].iter().all(|value| value.is_finite());
    let taken = |row: &usize| MISSING.contains(&name) || finite(row);
    assert!(!MISSING.contains(&name) || !(0..array.shape()[0]).all(|row| finite(&row)), "{name} lacks something");
    let kept: Vec<usize> = (0..array.shape()[0]).filter(taken).collect();
    let values: Vec<f32> = kept.iter().flat_map(|row| values[row * width..][..width].to_vec()).collect();
    (Tensor::new(&[kept.len(), width], Data::F32(values)).unwrap(), kept)
}

fn compile(name: &str, calibration: &[Vec<Tensor>]) -> Result<graph::Model, CompileError> {
    let file = std::fs::read(folder(name).join("model.onnx")).unwrap();
    compile_onnx(&OnnxSources {
        name,
        arithmetic: Arithmetic::Integer,
        file: (&file).into(),
        calibration,
        rows_max: 64,
    })
}

#[test]
fn every_classical_model_with_an_integer_form_answers_as_its_own_runtime_does() {
    let mut wrong = Vec::new();
    for (name, tolerance) in FOLDERS {
        let program = import_program(&std::fs::read(folder(name).join("model.onnx")).unwrap()).unwrap();
        let (x, kept) = features(name, &program);
        let model = match compile(name, &[vec![x.clone()]]) {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert!(model.graph.is_integer(), "{name}");
        let (again, _) = graph::Model::from_artefact(&model.to_artefact().into()).unwrap();
        let outputs = evaluate(&again.graph, &[x]).unwrap();
        let expected = read(name, "output", &program.outputs);
        for (index, (output, expected)) in outputs.iter().zip(&expected).enumerate() {
            let texts = label_texts(&program, program.body.outputs[index]);
            let expected = rows(expected, texts.as_deref());
            let expected: Vec<&Vec<f64>> = kept.iter().map(|&row| &expected[row]).collect();
            let output = found(output);
            let all = output.iter().zip(&expected).flat_map(|(one, other)| one.iter().zip(other.iter()));
            let most = expected.iter().flat_map(|row| row.iter()).fold(1.0, |most: f64, value| most.max(value.abs()));
            let far = all.map(|(one, other)| (one - other).abs() / most).fold(0.0, f64::max);
            let limit = if again.graph.fact(again.graph.graph().outputs[index].source).unwrap().element == Element::I64
            {
                0.0
            } else {
                tolerance
            };
            if far > limit || output.len() != expected.len() || output[0].len() != expected[0].len() {
                wrong.push(format!("{name} output {index}: {far:e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Floats around each threshold of a program's trees, beside a scaler's where there is one: the feature, and what it holds.
fn around_thresholds(program: &Program) -> Vec<(usize, f32)> {
    let list = |name: &str, attribute: &str| {
        let node = program.body.nodes.iter().find(|node| node.operator.name.starts_with(name))?;
        node.attributes.get(attribute)
    };
    let Some(Attribute::Floats(values)) = list("TreeEnsemble", "nodes_values") else { panic!("thresholds") };
    let Some(Attribute::Integers(features)) = list("TreeEnsemble", "nodes_featureids") else { panic!("features") };
    let mut all = Vec::new();
    for (&value, &feature) in values.iter().zip(features) {
        let feature = feature as usize;
        let scaled = match (list("Scaler", "offset"), list("Scaler", "scale")) {
            (Some(Attribute::Floats(offset)), Some(Attribute::Floats(scale))) => {
                value / scale[feature] + offset[feature]
            }
            _ => value,
        };
        let (mut below, mut above) = (scaled, scaled);
        all.push((feature, scaled));
        for _ in 0..6 {
            (below, above) = (below.next_down(), above.next_up());
            all.extend([(feature, below), (feature, above)]);
        }
    }
    all
}

#[test]
fn comparisons_of_trees_have_the_outcome_of_floats_next_to_every_threshold() {
    for name in ["decision_tree", "scaled_tree", "xgboost_three", "lightgbm_two", "gradient_boosting_two"] {
        let program = import_program(&std::fs::read(folder(name).join("model.onnx")).unwrap()).unwrap();
        let (x, _) = features(name, &program);
        let model = compile(name, &[vec![x.clone()]]).unwrap();
        let names: Vec<&str> = model.graph.graph().nodes.iter().map(|node| node.operator.name).collect();
        assert!(names.contains(&"order") && names.contains(&"trees") && !names.contains(&"quantise"), "{names:?}");
        let (values, width) = (x.floats().unwrap(), x.shape()[1]);
        let mut rows = Vec::new();
        for (at, (feature, value)) in around_thresholds(&program).into_iter().enumerate() {
            let from = at % x.shape()[0] * width;
            let mut row = values[from..from + width].to_vec();
            row[feature] = value;
            rows.extend(row);
        }
        for rows in rows.chunks(64 * width) {
            let shape = [rows.len() / width, width];
            let floats = Array::f32s(&shape, rows.to_vec()).unwrap();
            let meant = program.run(vec![floats.into()], Limits::default()).unwrap();
            let x = Tensor::new(&shape, Data::F32(rows.to_vec())).unwrap();
            let labels = evaluate(&model.graph, &[x]).unwrap().remove(0);
            let meant: Vec<i64> =
                meant[0].as_tensor().unwrap().integers().unwrap().into_iter().map(|label| label as i64).collect();
            assert_eq!(labels.integers().unwrap(), meant, "{name}");
        }
    }
}

/// A tree of one split for each way of comparing, with and without a NaN that goes on at `yes`, behind scales of either sign and an
/// imputer: what the program says, the integers say.
#[test]
fn missing_values_go_where_the_program_sends_them() {
    let lacking = [f32::NAN, -1.5, -0.5, 0.0, 0.25, 0.5, 0.75, 2.0, -f32::NAN];
    let mut ways = [0, 0];
    for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"] {
        for tracks in [0, 1] {
            for prepared in ["", "turned", "imputed", "imputed, turned"] {
                let file = support::tree(mode, tracks, prepared);
                let program = import_program(&file).unwrap();
                let rows = Array::f32s(&[lacking.len(), 1], lacking.to_vec()).unwrap();
                let meant = program.run(vec![rows.into()], Limits::default()).unwrap();
                let meant: Vec<f32> = meant[0].as_tensor().unwrap().floats().unwrap().into_owned();
                let whole = Tensor::new(&[2, 1], Data::F32(vec![-1.0, 1.0])).unwrap();
                let calibration = [vec![whole]];
                let sources = OnnxSources {
                    name: "tree",
                    arithmetic: Arithmetic::Integer,
                    file: (&file).into(),
                    calibration: &calibration,
                    rows_max: 64,
                };
                let model = compile_onnx(&sources).unwrap();
                let x = Tensor::new(&[lacking.len(), 1], Data::F32(lacking.to_vec())).unwrap();
                let output = evaluate(&model.graph, &[x]).unwrap().remove(0);
                assert_eq!(output.floats().unwrap(), meant, "{mode}, tracks {tracks}, {prepared}");
                ways[usize::from(meant[0] == 1.0)] += 1;
            }
        }
    }
    assert!(ways.iter().all(|&count| count > 10), "either way: {ways:?}");
}

#[test]
fn a_missing_value_is_refused_where_more_than_trees_read_the_input() {
    for name in ["scaled", "logistic_two"] {
        let program = import_program(&std::fs::read(folder(name).join("model.onnx")).unwrap()).unwrap();
        let (x, _) = features(name, &program);
        let model = compile(name, &[vec![x.clone()]]).unwrap();
        let mut values = x.floats().unwrap().to_vec();
        values[1] = f32::NAN;
        let lacks = Tensor::new(x.shape(), Data::F32(values)).unwrap();
        let refused = evaluate(&model.graph, &[lacks]);
        assert!(matches!(refused, Err(Fault::NotFinite { index: 1, .. })), "{name}: {refused:?}");
    }
}

#[test]
fn operators_and_transforms_without_an_integer_form_are_refused_by_node() {
    for (name, said) in [
        ("svc", "(SVMClassifier)"),
        ("nearest_neighbours", "(Scan)"),
        ("mixed_columns", "(OneHotEncoder)"),
        ("one_class_svm", "(SVMRegressor)"),
    ] {
        let error = compile(name, &[]).unwrap_err().to_string();
        assert!(error.contains("no integer form exists for") && error.contains(said), "{name}: {error}");
    }
}
