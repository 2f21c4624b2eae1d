//! Facts about the integer form of images and sequences: what is taken together, and what is refused by name.

use super::write::{Message, Parts, Setting, float_tensor, node, value, value_of};
use super::{Arithmetic, CompileError, OnnxSources, compile_onnx};
use crate::evaluate;
use crate::tensor::{Data, Tensor};

/// Numbers from -1 to 1 that look irregular.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

const IMAGE: [usize; 4] = [2, 3, 4, 4];

pub(super) fn image(seed: u32) -> Vec<Tensor> {
    vec![Tensor::new(&IMAGE, Data::F32(noise(96, seed))).unwrap()]
}

fn compile(parts: &Parts, calibration: &[Vec<Tensor>]) -> Result<crate::Model, CompileError> {
    let file = parts.file();
    compile_onnx(&OnnxSources {
        name: "n",
        arithmetic: Arithmetic::Integer,
        file: (&file).into(),
        calibration,
        rows_max: 4,
    })
}

/// Between an image `x` and `y`, of which nothing is stated but the rank.
pub(super) fn between(nodes: Vec<Message>, initializers: Vec<Message>, rank: usize) -> Parts {
    let outputs = vec![value("y", &vec![0; rank])];
    Parts { nodes, initializers, inputs: vec![value("x", &[0, 3, 4, 4])], outputs }
}

pub(super) fn refused(parts: &Parts, said: &str) {
    let error = compile(parts, &[image(1)]).unwrap_err().to_string();
    assert!(error.contains(said), "{error} lacks {said:?}");
    assert!(error.contains("hint: compile to the ordered form"), "{error}");
}

fn kernel(sizes: &[i64]) -> Setting<'_> {
    Setting::Integers(sizes)
}

pub(super) fn weights(name: &str, shape: &[i64], seed: u32) -> Message {
    let count: i64 = shape.iter().product();
    float_tensor(name, shape, &noise(count as usize, seed))
}

#[test]
fn a_convolution_takes_in_what_stands_behind_it() {
    let nodes = vec![
        node("Conv", &["x", "w", "b"], "c", &[("pads", kernel(&[1, 1, 1, 1]))]),
        node("Mul", &["c", "scale"], "m", &[]),
        node("Add", &["m", "shift"], "s", &[]),
        node("Relu", &["s"], "y", &[]),
    ];
    let constants = vec![
        weights("w", &[5, 3, 3, 3], 1),
        weights("b", &[5], 2),
        weights("scale", &[1, 5, 1, 1], 3),
        weights("shift", &[5, 1, 1], 4),
    ];
    let model = compile(&between(nodes, constants, 4), &[image(1)]).unwrap();
    let names: Vec<&str> = model.graph.graph().nodes.iter().map(|node| node.operator.name).collect();
    let layers = names.iter().filter(|name| **name == "convolve").count();
    assert_eq!(layers, 1, "{names:?}");
    assert!(!names.iter().any(|name| matches!(*name, "multiply" | "add_scaled" | "lookup")), "{names:?}");
    assert!(model.graph.is_integer());
    let found = evaluate(&model.graph, &image(2)).unwrap().remove(0);
    assert_eq!(found.shape(), [2, 5, 4, 4]);
    assert!(found.floats().unwrap().iter().all(|value| *value >= 0.0));
}

#[test]
fn a_batch_that_nobody_names_stays_a_size() {
    let parts = Parts {
        nodes: vec![node("GlobalAveragePool", &["x"], "y", &[])],
        initializers: vec![],
        inputs: vec![value("x", &[2, 3, 4, 4])],
        outputs: vec![value("y", &[2, 3, 1, 1])],
    };
    let model = compile(&parts, &[image(1)]).unwrap();
    let found = evaluate(&model.graph, &image(1)).unwrap().remove(0);
    let means: Vec<f32> = image(1)[0].floats().unwrap().chunks(16).map(|x| x.iter().sum::<f32>() / 16.0).collect();
    let far = found.floats().unwrap().iter().zip(&means).map(|(found, mean)| (found - mean).abs()).fold(0.0, f32::max);
    assert!(found.shape() == [2, 3, 1, 1] && far < 0.01, "{far}");
}

#[test]
fn an_average_divides_by_the_places_that_its_window_has_on_the_image() {
    let pads = [("kernel_shape", kernel(&[3, 2])), ("pads", kernel(&[1, 1, 1, 0]))];
    let model = compile(&between(vec![node("AveragePool", &["x"], "y", &pads)], vec![], 4), &[image(1)]).unwrap();
    let found = evaluate(&model.graph, &image(1)).unwrap().remove(0);
    assert_eq!(found.shape(), IMAGE);
    let x = image(1);
    let x = x[0].floats().unwrap();
    for (at, &found) in found.floats().unwrap().iter().enumerate() {
        let (plane, row, column) = (at / 16, at / 4 % 4, at % 4);
        let rows = row.saturating_sub(1)..(row + 2).min(4);
        let places = rows.flat_map(|row| (column.saturating_sub(1)..=column).map(move |column| row * 4 + column));
        let values: Vec<f32> = places.map(|place| x[plane * 16 + place]).collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((found - mean).abs() < 0.02, "{at}: {found} for {mean}");
    }
}

#[test]
fn a_cast_to_integers_cuts_what_lies_behind_the_point() {
    let to = |element| [("to", Setting::Integer(element))];
    let nodes = vec![node("Cast", &["x"], "whole", &to(6)), node("Cast", &["whole"], "y", &to(1))];
    let model = compile(&between(nodes, vec![], 4), &[image(1)]).unwrap();
    let found = evaluate(&model.graph, &image(1)).unwrap().remove(0);
    // All of the image lies between -1 and 1.
    assert!(found.floats().unwrap().iter().all(|value| value.abs() < 0.01), "{found:?}");
}

#[test]
fn an_output_of_small_integers_is_refused() {
    let mut parts = between(vec![node("Cast", &["x"], "y", &[("to", Setting::Integer(3))])], vec![], 4);
    parts.outputs = vec![value_of(3, "y", &[0, 0, 0, 0])];
    refused(&parts, "output \"y\": is of int8, which no output of an integer model can be");
}

#[test]
fn operators_without_any_integer_form_are_named_before_anything_runs() {
    let size = [("size", Setting::Integer(3))];
    let nodes = vec![node("LRN", &["x"], "t", &size), node("LogSoftmax", &["t"], "y", &[])];
    let error = compile(&between(nodes, vec![], 4), &[]).unwrap_err();
    let nodes = "\"the_t\" (LRN), \"the_y\" (LogSoftmax)".to_owned();
    assert_eq!(error, CompileError::NoIntegerForm { nodes });
}

#[test]
fn what_has_no_integer_form_where_it_stands_is_named() {
    let product = between(vec![node("MatMul", &["x", "x"], "y", &[])], vec![], 4);
    refused(&product, "no integer form exists for \"the_y\" (MatMul)");
    let turned = [("perm", kernel(&[1, 0, 2, 3]))];
    let rows = between(vec![node("Transpose", &["x"], "y", &turned)], vec![], 4);
    refused(&rows, "output \"y\": has its rows inside, which must stay outermost");
    let flat = [("axis", Setting::Integer(2))];
    let merged = between(vec![node("Flatten", &["x"], "y", &flat)], vec![], 2);
    refused(&merged, "node \"the_y\" (Flatten)");
    let axes = [("axes", kernel(&[0]))];
    let mean = between(vec![node("ReduceMean", &["x"], "y", &axes)], vec![], 4);
    refused(&mean, "node \"the_y\" (ReduceMean): means over axes [0] of rank 4");
    let across = between(vec![node("Softmax", &["x"], "y", &[("axis", Setting::Integer(1))])], vec![], 4);
    refused(&across, "node \"the_y\" (Softmax): works along an axis that is not the innermost");
}

#[test]
fn the_same_file_and_calibration_give_the_same_artefact() {
    let nodes = vec![node("Conv", &["x", "w"], "y", &[])];
    let parts = between(nodes, vec![weights("w", &[4, 3, 1, 1], 1)], 4);
    let artefact = |seed| compile(&parts, &[image(seed)]).unwrap().to_artefact();
    assert_eq!(artefact(1), artefact(1));
    assert_ne!(artefact(1), artefact(2));
}
