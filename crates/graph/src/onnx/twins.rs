//! Facts about the integer twin: near the ordered model on every operator, deterministic, honest about what it lacks.

use super::integer::quantised;
use super::write::{Parts, Setting, float_tensor, integer_tensor, node, value};
use super::{Arithmetic, CompileError, OnnxError, OnnxSources, compile_onnx, import};
use crate::evaluate;
use crate::graph::Checked;
use crate::tensor::{Data, Tensor};

const ROWS: usize = 64;

/// Numbers from -1 to 1 that look irregular.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn ordered(parts: &Parts) -> Checked {
    import(&parts.file()).unwrap().check(ROWS).unwrap()
}

/// The largest difference between both forms on inputs that calibration did not see.
fn difference(parts: &Parts, width: usize) -> f32 {
    let inputs = |seed| vec![Tensor::new(&[ROWS, width], Data::F32(noise(ROWS * width, seed))).unwrap()];
    let ordered = ordered(parts);
    let integer = quantised(&ordered, &[inputs(1)]).unwrap().check(ROWS).unwrap();
    assert!(integer.is_integer());
    let (one, other) = (evaluate(&ordered, &inputs(2)).unwrap(), evaluate(&integer, &inputs(2)).unwrap());
    let pairs =
        one.iter().zip(&other).flat_map(|(one, other)| one.floats().unwrap().iter().zip(other.floats().unwrap()));
    pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

fn between(
    nodes: Vec<crate::onnx::write::Message>,
    initializers: Vec<crate::onnx::write::Message>,
    width: i64,
) -> Parts {
    let outputs = vec![value("y", &[0, width])];
    Parts { nodes, initializers, inputs: vec![value("x", &[0, 8])], outputs }
}

#[test]
fn the_integer_twin_of_every_operator_is_near() {
    let row = |seed| float_tensor("c", &[8], &noise(8, seed));
    let unary = |kind| between(vec![node(kind, &["x"], "y", &[])], vec![], 8);
    let matrix = || float_tensor("w", &[8, 4], &noise(32, 9));
    let cases = [
        (unary("Relu"), 1e-4),
        (unary("Tanh"), 2e-3),
        (unary("Sigmoid"), 1e-3),
        (unary("Exp"), 3e-3),
        (between(vec![node("Softmax", &["x"], "y", &[])], vec![], 8), 2e-3),
        (between(vec![node("Add", &["x", "c"], "y", &[])], vec![row(3)], 8), 1e-4),
        (between(vec![node("Mul", &["x", "c"], "y", &[])], vec![row(4)], 8), 2e-4),
        (between(vec![node("Mul", &["x", "x"], "y", &[])], vec![], 8), 2e-4),
        (between(vec![node("MatMul", &["x", "w"], "y", &[])], vec![matrix()], 4), 3e-2),
        (between(vec![node("Concat", &["x", "x"], "y", &[("axis", Setting::Integer(-1))])], vec![], 16), 1e-4),
    ];
    for (parts, tolerance) in &cases {
        let found = difference(parts, 8);
        assert!(found < *tolerance, "{found} against {tolerance}");
    }
}

#[test]
fn a_whole_network_stays_near_through_clips_sums_reshapes_and_heads() {
    let low = float_tensor("low", &[], &[-0.75]);
    let high = float_tensor("high", &[], &[0.75]);
    let weights = |name: &str, shape: &[i64], seed| {
        let count: i64 = shape.iter().product();
        float_tensor(name, shape, &noise(count as usize, seed))
    };
    let target = integer_tensor("target", &[0, 4, 6]);
    let nodes = vec![
        node("Clip", &["x", "low", "high"], "clipped", &[]),
        node("Gemm", &["clipped", "w0", "b0"], "h0", &[("transB", Setting::Integer(1))]),
        node("Relu", &["h0"], "a0", &[]),
        node("MatMul", &["a0", "w1"], "h1", &[]),
        node("Tanh", &["h1"], "a1", &[]),
        node("MatMul", &["a0", "w2"], "h2", &[]),
        node("Add", &["a1", "h2"], "sum", &[]),
        node("Reshape", &["sum", "target"], "square", &[]),
        node("Flatten", &["square"], "flat", &[]),
        node("MatMul", &["flat", "w3"], "h3", &[]),
        node("Sigmoid", &["h3"], "y", &[]),
        node("Relu", &["sum"], "z", &[]),
    ];
    let initializers = vec![
        low,
        high,
        weights("w0", &[24, 8], 1),
        weights("b0", &[1, 24], 2),
        weights("w1", &[24, 24], 3),
        weights("w2", &[24, 24], 4),
        target,
        weights("w3", &[24, 3], 5),
    ];
    let mut parts = between(nodes, initializers, 3);
    parts.outputs.push(value("z", &[0, 24]));
    let found = difference(&parts, 8);
    assert!(found < 0.12, "{found}");
    assert_eq!(quantised(&ordered(&parts), &[calibration()]).unwrap().outputs.len(), 2);
}

fn calibration() -> Vec<Tensor> {
    vec![Tensor::new(&[ROWS, 8], Data::F32(noise(ROWS * 8, 1))).unwrap()]
}

#[test]
fn the_same_file_and_calibration_give_the_same_artefact() {
    let parts = between(
        vec![node("MatMul", &["x", "w"], "h", &[]), node("Softmax", &["h"], "y", &[])],
        vec![float_tensor("w", &[8, 4], &noise(32, 9))],
        4,
    );
    let file = parts.file();
    let artefact = |calibration: &[Vec<Tensor>]| {
        let sources = OnnxSources {
            name: "twin",
            arithmetic: Arithmetic::Integer,
            file: (&file).into(),
            calibration,
            rows_max: ROWS,
        };
        compile_onnx(&sources).unwrap().to_artefact()
    };
    assert_eq!(artefact(&[calibration()]), artefact(&[calibration()]));
    let doubled: Vec<Tensor> = vec![Tensor::new(&[ROWS, 8], Data::F32(vec![2.0; ROWS * 8])).unwrap()];
    assert_ne!(artefact(&[calibration()]), artefact(&[doubled]));
}

#[test]
fn operators_without_an_integer_form_are_all_named() {
    let nodes = vec![node("Sub", &["x", "c"], "h", &[]), node("Div", &["h", "c"], "y", &[])];
    let parts = between(nodes, vec![float_tensor("c", &[8], &[2.0; 8])], 8);
    let error = quantised(&ordered(&parts), &[calibration()]).unwrap_err();
    let nodes = "\"h\" (subtract_f32), \"y\" (divide_f32)".to_owned();
    assert_eq!(error, CompileError::NoIntegerForm { nodes });
    assert!(error.to_string().contains("hint: compile to the ordered form"));
}

#[test]
fn a_dead_output_with_a_bias_keeps_its_bias() {
    let nodes = vec![node("Gemm", &["x", "w", "b"], "y", &[])];
    let mut weights = noise(32, 6);
    weights.iter_mut().step_by(4).for_each(|weight| *weight *= 1e-30);
    let bias = float_tensor("b", &[4], &[0.7, 0.0, -0.2, 0.1]);
    let parts = between(nodes, vec![float_tensor("w", &[8, 4], &weights), bias], 4);
    let found = difference(&parts, 8);
    assert!(found < 3e-2, "{found}");
}

#[test]
fn many_nodes_that_share_one_large_weight_are_refused() {
    let large = float_tensor("w", &[1024, 1024], &vec![0.5; 1 << 20]);
    let chain = (0..300).map(|i| node("MatMul", &[&format!("h{i}"), "w"], &format!("h{}", i + 1), &[])).collect();
    let (inputs, outputs) = (vec![value("h0", &[0, 1024])], vec![value("h300", &[0, 1024])]);
    let parts = Parts { nodes: chain, initializers: vec![large], inputs, outputs };
    let error = import(&parts.file()).unwrap_err();
    assert!(matches!(error, OnnxError::TooMany { what: "elements of weights, counted at each use", .. }), "{error}");
}
