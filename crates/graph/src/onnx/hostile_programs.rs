//! Facts about files that become programs, or do not: damaged, hostile, or with what is not known.

use proptest::prelude::*;

use super::write::{Message, Parts, Setting, float_tensor, integer_tensor, node, tensor_head, value};
use super::{OnnxError, import_program};
use crate::program::{Array, Limits, Program, ProgramFault, Value};

const LIMITS: Limits = Limits { bytes: 1 << 24, operations: 1 << 26 };

/// The file is refused, and the words say why.
fn refused(file: &[u8], said: &str) -> OnnxError {
    let error = import_program(file).expect_err(said);
    assert!(error.to_string().contains(said), "{error} lacks {said:?}");
    error
}

/// The file is a program whose run is refused, and the words say why and where.
fn stopped(file: &[u8], inputs: Vec<Value>, said: &str) {
    let fault = import_program(file).expect("a program").run(inputs, LIMITS).expect_err(said);
    assert!(matches!(fault, ProgramFault::Node { .. }), "{fault}");
    assert!(fault.to_string().contains(said), "{fault} lacks {said:?}");
}

fn small() -> Parts {
    Parts {
        nodes: vec![node("MatMul", &["x", "w"], "h", &[]), node("Relu", &["h"], "y", &[])],
        initializers: vec![float_tensor("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])],
        inputs: vec![value("x", &[0, 2])],
        outputs: vec![value("y", &[0, 3])],
    }
}

fn row(values: &[f32]) -> Vec<Value> {
    vec![Array::f32s(&[1, values.len()], values.to_vec()).unwrap().into()]
}

/// Whatever a damaged file still is, running it ends in outputs or a fault, within its accounts.
fn run_if_fit(file: &[u8]) -> bool {
    let Ok(program) = import_program(file) else { return false };
    let zeros = |program: &Program| -> Option<Vec<Value>> {
        let one = |port: &crate::program::Port| match &port.kind {
            crate::program::Type::Tensor { element, .. } => Array::zeros(*element, &[1, 2]).ok().map(Value::from),
            _ => None,
        };
        program.inputs.iter().map(one).collect()
    };
    if let Some(inputs) = zeros(&program) {
        let _ = program.run(inputs, LIMITS);
    }
    true
}

/// What training the standard's older sets meant where a node says nothing is refused by name, not taken for inference.
#[test]
fn a_file_of_operator_set_6_is_read_as_that_set_means_it() {
    let parts = |kind, settings: &[(&str, Setting<'_>)]| Parts {
        nodes: vec![
            node("Add", &["x", "b"], "h", &[("broadcast", Setting::Integer(1))]),
            node(kind, &["h"], "y", settings),
        ],
        initializers: vec![float_tensor("b", &[2], &[1.0, -3.0])],
        inputs: vec![value("x", &[0, 2])],
        outputs: vec![value("y", &[0, 2])],
    };
    let inputs = || row(&[1.0, 1.0]);
    let relu = import_program(&parts("Relu", &[]).file_of_opset(6)).unwrap();
    assert_eq!(relu.run(inputs(), LIMITS).unwrap(), row(&[2.0, 0.0]));
    let still = import_program(&parts("Dropout", &[("is_test", Setting::Integer(1))]).file_of_opset(6)).unwrap();
    assert_eq!(still.run(inputs(), LIMITS).unwrap()[..1], row(&[2.0, -2.0]));
    let error = refused(&parts("Dropout", &[]).file_of_opset(6), "is_test = 0");
    assert!(matches!(error, OnnxError::RefusedNodes { .. }), "{error:?}");
    refused(&parts("Acos", &[]).file_of_opset(6), "operator set 6");
}

#[test]
fn the_starting_point_runs() {
    let outputs = import_program(&small().file()).unwrap().run(row(&[1.0, -1.0]), LIMITS).unwrap();
    assert_eq!(outputs, [Array::f32s(&[1, 3], vec![0.0; 3]).unwrap().into()]);
}

#[test]
fn every_cut_is_refused_and_every_flipped_bit_ends_in_a_program_or_a_typed_refusal() {
    let file = small().file();
    for at in 0..file.len() {
        import_program(&file[..at]).expect_err("a cut file");
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            run_if_fit(&flipped);
        }
    }
}

#[test]
fn exported_models_with_flipped_bits_never_panic() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/onnx/classical");
    let (mut fit, mut all) = (0, 0);
    for (index, name) in ["gradient_boosting_three", "svc_chances", "mixed_columns", "lightgbm_two"].iter().enumerate()
    {
        let file = std::fs::read(format!("{root}/{name}/model.onnx")).unwrap();
        for at in (index..file.len()).step_by(23) {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << (at % 8);
            all += 1;
            fit += usize::from(run_if_fit(&flipped));
        }
    }
    assert!(fit > 0 && fit < all, "{fit} of {all}");
}

proptest! {
    #[test]
    fn a_small_file_with_any_bytes_overwritten_never_panics(
        changes in prop::collection::vec((0_usize..400, any::<u8>()), 1..12),
    ) {
        let mut file = small().file();
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        run_if_fit(&file);
    }

    #[test]
    fn any_bytes_at_all_never_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
        run_if_fit(&file);
    }
}

#[test]
fn sizes_that_the_file_does_not_hold_are_refused_before_anything_is_kept() {
    refused(&[0x3a, 0x80, 0x80, 0x80, 0x80, 0x04], "claims 1073741824 bytes, 0 left in the file");
    let with = |tensor: Message| Parts { initializers: vec![tensor], ..small() }.file();
    refused(&with(tensor_head("w", &[1 << 40, 1 << 40], 1).bytes(9, &[0; 8])), "elements of a tensor");
    refused(&with(tensor_head("w", &[1 << 20], 1).bytes(9, &[0; 8])), "its shape says 1048576");
    refused(&with(tensor_head("w", &[-2, 3], 1).bytes(9, &[0; 24])), "has a dimension of -2");
    refused(&with(tensor_head("w", &[2, 3], 99).bytes(9, &[0; 24])), "has elements of ONNX type 99");
    refused(&with(tensor_head("w", &[1; 20], 1).bytes(9, &[0; 4])), "integers of a list, at most 16");
}

#[test]
fn a_graph_that_does_not_hang_together_is_refused() {
    let nodes = |nodes: Vec<Message>| Parts { nodes, ..small() }.file();
    refused(&nodes(vec![node("Add", &["x", "b"], "a", &[]), node("Relu", &["a"], "b", &[])]), "uses value \"b\"");
    refused(&nodes(vec![node("Relu", &["y"], "y", &[])]), "uses value \"y\"");
    refused(&nodes(vec![node("Relu", &["nobody"], "y", &[])]), "uses value \"nobody\"");
    refused(&nodes(vec![node("Relu", &["x"], "y", &[]), node("Relu", &["x"], "y", &[])]), "value \"y\" is made twice");
    refused(&nodes(vec![node("Relu", &["x", "x"], "y", &[])]), "has 2 inputs, expected 1 to 1");
    refused(&nodes(vec![node("Relu", &["x"], "y", &[("slope", Setting::Float(1.0))])]), "unknown attribute \"slope\"");
}

#[test]
fn unknown_operators_are_all_named_with_their_nodes_before_anything_runs() {
    let nodes = vec![node("Wish", &["x"], "a", &[]), node("Relu", &["a"], "b", &[]), node("Hope", &["b"], "y", &[])];
    let error = refused(&Parts { nodes, ..small() }.file(), "\"the_a\" (ai.onnx.Wish");
    assert!(
        matches!(error, OnnxError::UnsupportedOperators { .. })
            && error.to_string().contains("\"the_y\" (ai.onnx.Hope")
    );
    // Also in a branch that may never be taken.
    let branch = |name: &str, kind: &str| {
        let graph = Parts { nodes: vec![node(kind, &["x"], "z", &[])], ..small() }.graph();
        Message::default().text(1, name).integer(20, 5).message(6, &graph)
    };
    let choice = node("If", &["c"], "y", &[]);
    let choice = choice.message(5, &branch("then_branch", "Relu")).message(5, &branch("else_branch", "Wish"));
    let nested = Parts { nodes: vec![choice], ..small() };
    refused(&nested.file(), "unsupported operators: \"the_z\" (ai.onnx.Wish, operator set 17)");
}

#[test]
fn bombs_of_shape_stop_at_the_accounts_of_a_run_and_name_the_node() {
    let grown = |kind: &str, sizes: &[i64]| {
        Parts {
            nodes: vec![node(kind, &["x", "s"], "y", &[])],
            initializers: vec![integer_tensor("s", sizes)],
            ..small()
        }
        .file()
    };
    stopped(&grown("Expand", &[1 << 30, 2]), row(&[1.0, 2.0]), "bytes of values would live at once");
    stopped(&grown("Tile", &[1 << 20, 1 << 20]), row(&[1.0, 2.0]), "bytes of values would live at once");
    stopped(&grown("Expand", &[i64::MAX, 2]), row(&[1.0, 2.0]), "bytes of values would live at once");
    stopped(&grown("Reshape", &[-5, 2]), row(&[1.0, 2.0]), "");
    // Each node doubles: sixty of them ask for 2^61 numbers.
    let mut nodes = vec![node("Concat", &["x", "x"], "n0", &[("axis", Setting::Integer(0))])];
    for step in 1..60 {
        let (from, to) = (format!("n{}", step - 1), format!("n{step}"));
        nodes.push(node("Concat", &[&from, &from], &to, &[("axis", Setting::Integer(0))]));
    }
    let outputs = vec![value("n59", &[0, 2])];
    stopped(&Parts { nodes, outputs, ..small() }.file(), row(&[1.0, 2.0]), "bytes of values would live at once");
}

#[test]
fn branches_in_any_order_of_the_file_make_a_program_that_reads_back() {
    let branch = |kind: &str, output: &str| {
        let inside = Parts {
            nodes: vec![node(kind, &["x"], output, &[])],
            outputs: vec![value(output, &[0, 2])],
            ..Parts::default()
        };
        inside.graph()
    };
    let setting = |name: &str, graph: &Message| Message::default().text(1, name).message(6, graph).integer(20, 5);
    let (then, other) = (setting("then_branch", &branch("Neg", "a")), setting("else_branch", &branch("Abs", "b")));
    for (one, two) in [(&then, &other), (&other, &then)] {
        let choice = node("If", &["flag"], "y", &[]).message(5, one).message(5, two);
        let flag = tensor_head("flag", &[], 9).bytes(9, &[1]);
        let file =
            Parts { nodes: vec![choice], initializers: vec![flag], outputs: vec![value("y", &[0, 2])], ..small() }
                .file();
        let program = import_program(&file).unwrap();
        let read = crate::program::encoding::read(&crate::program::encoding::write(&program)).unwrap();
        assert_eq!(read, program);
        let outputs = read.run(row(&[1.0, -2.0]), LIMITS).unwrap();
        assert_eq!(outputs, [Array::f32s(&[1, 2], vec![-1.0, 2.0]).unwrap().into()]);
    }
}
