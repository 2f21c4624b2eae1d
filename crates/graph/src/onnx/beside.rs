//! Facts about models whose numbers lie in files beside them, whole and hostile.

use ::bytes::Bytes;

use super::write::{Message, Parts, Setting, float_tensor, integer_tensor, node, one_node, tensor_head, value};
use super::{
    Arithmetic, OnnxError, OnnxFile, OnnxSources, Sidecars, compile_onnx, import, import_program, sidecar_names,
};
use crate::program::{Array, Limits, Value};

const WEIGHTS: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const DATA: &str = "model.onnx.data";

fn sidecars(files: &[(&str, &[u8])]) -> Sidecars {
    files.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::copy_from_slice(bytes))).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A tensor without numbers, and where it says that they lie.
fn outside(head: Message, place: &[(&str, &str)]) -> Message {
    let entry = |(key, value): &(&str, &str)| Message::default().text(1, key).text(2, value);
    place.iter().map(entry).fold(head, |tensor, entry| tensor.message(13, &entry)).integer(14, 1)
}

fn weights(place: &[(&str, &str)]) -> Message {
    outside(tensor_head("w", &[2, 3], 1), place)
}

/// `y = relu(x · w)`, which is a static graph too.
fn small(weights: Message) -> Parts {
    Parts {
        nodes: vec![node("MatMul", &["x", "w"], "h", &[]), node("Relu", &["h"], "y", &[])],
        initializers: vec![weights],
        inputs: vec![value("x", &[0, 2])],
        outputs: vec![value("y", &[0, 3])],
    }
}

/// Both readers refuse the tensor, with these words.
fn refused(weights: Message, beside: &Sidecars, said: &str) -> OnnxError {
    let bytes = small(weights).file();
    let file = OnnxFile { bytes: &bytes, sidecars: beside };
    let (graph, program) = (import(file).expect_err(said), import_program(file).expect_err(said));
    assert_eq!(graph, program, "{said}");
    assert!(graph.to_string().contains(said), "{graph} lacks {said:?}");
    graph
}

#[test]
fn a_model_is_the_same_wherever_its_numbers_lie() {
    let artefact = |bytes: &[u8], beside: &Sidecars, arithmetic| {
        let calibration = [vec![crate::Tensor::new(&[1, 2], crate::Data::F32(vec![1.0, -1.0])).unwrap()]];
        let file = OnnxFile { bytes, sidecars: beside };
        let sources = OnnxSources { name: "m", arithmetic, file, calibration: &calibration, rows_max: 4 };
        compile_onnx(&sources).unwrap().to_artefact()
    };
    let whole = small(float_tensor("w", &[2, 3], &WEIGHTS)).file();
    let data = [vec![9; 16], bytes(&WEIGHTS), vec![9; 4]].concat();
    let beside = sidecars(&[(DATA, &data), ("deep/er", &bytes(&WEIGHTS))]);
    for place in [
        &[("location", DATA), ("offset", "16"), ("length", "24")][..],
        &[("offset", "16"), ("checksum", "of the whole file"), ("location", DATA)],
        &[("location", "deep/er")],
    ] {
        let parted = small(weights(place)).file();
        for arithmetic in [Arithmetic::Ordered, Arithmetic::Integer] {
            let (one, other) = (artefact(&whole, &Sidecars::new(), arithmetic), artefact(&parted, &beside, arithmetic));
            assert_eq!(one, other, "{place:?}");
        }
        let of_whole = import_program(&whole).unwrap();
        assert_eq!(import_program(OnnxFile { bytes: &parted, sidecars: &beside }).unwrap(), of_whole, "{place:?}");
    }
}

#[test]
fn every_place_that_a_tensor_may_be_at_is_named_and_read() {
    let at = |name: &str, tensor: &str| outside(tensor_head(tensor, &[2], 1), &[("location", name)]);
    let branch = |setting: &str, name: &str| {
        let inside = Parts {
            nodes: vec![node("Add", &["x", name], "z", &[])],
            initializers: vec![at(name, name)],
            outputs: vec![value("z", &[0, 2])],
            ..Parts::default()
        };
        Message::default().text(1, setting).message(6, &inside.graph()).integer(20, 5)
    };
    let constant = |name: &str, output: &str| {
        let content = Message::default().text(1, "value").message(5, &at(name, "")).integer(20, 4);
        node("Constant", &[], output, &[]).message(5, &content)
    };
    let choice = node("If", &["flag"], "a", &[]);
    let choice = choice.message(5, &branch("then_branch", "in_then")).message(5, &branch("else_branch", "in_else"));
    let places = integer_tensor("", &[1]);
    let sparse = Message::default().message(1, &outside(tensor_head("s", &[1], 1), &[("location", "sparse")]));
    let sparse = sparse.message(2, &places).integer(3, 2);
    let nodes = vec![
        choice,
        constant("in_constant", "c"),
        node("Sum", &["a", "c", "s"], "b", &[]),
        node("Twice", &["b"], "y", &[]).text(7, "own"),
    ];
    let parts = Parts {
        nodes,
        initializers: vec![tensor_head("flag", &[], 9).bytes(9, &[1])],
        ..one_node("Relu", &[0, 2], &[], &[])
    };
    let opset = |domain: &str, version| Message::default().text(1, domain).integer(2, version);
    let function = Message::default().text(1, "Twice").text(4, "in").text(5, "out").text(10, "own");
    let function =
        function.message(7, &constant("in_function", "k")).message(7, &node("Mul", &["in", "k"], "out", &[]));
    let function = function.message(9, &opset("", 17));
    let graph = parts.graph().message(15, &sparse);
    let file = Message::default().integer(1, 8).message(7, &graph).message(8, &opset("", 17));
    let file = file.message(8, &opset("own", 1)).message(25, &function).0;

    let names: Vec<String> = sidecar_names(&file).unwrap().into_iter().collect();
    assert_eq!(names, ["in_constant", "in_else", "in_function", "in_then", "sparse"]);
    let beside = sidecars(&[
        ("in_constant", &bytes(&[10.0, 20.0])),
        ("in_else", &bytes(&[0.0, 0.0])),
        ("in_function", &bytes(&[2.0, 2.0])),
        ("in_then", &bytes(&[1.0, 2.0])),
        ("sparse", &bytes(&[0.5])),
    ]);
    let program = import_program(OnnxFile { bytes: &file, sidecars: &beside }).unwrap();
    let x: Value = Array::f32s(&[1, 2], vec![100.0, 200.0]).unwrap().into();
    let y: Value = Array::f32s(&[1, 2], vec![222.0, 445.0]).unwrap().into();
    assert_eq!(program.run(vec![x], Limits::default()).unwrap(), [y]);
}

#[test]
fn small_elements_and_shapes_lie_beside_a_model_as_well() {
    let parts = Parts {
        nodes: vec![
            node("Reshape", &["x", "shape"], "flat", &[]),
            node("DequantizeLinear", &["w", "scale"], "half", &[("axis", Setting::Integer(0))]),
            node("Add", &["flat", "half"], "y", &[]),
        ],
        initializers: vec![
            outside(tensor_head("shape", &[1], 7), &[("location", "s"), ("length", "8")]),
            outside(tensor_head("w", &[3], 22), &[("location", "w"), ("length", "2")]),
            float_tensor("scale", &[], &[0.5]),
        ],
        inputs: vec![value("x", &[1, 3])],
        outputs: vec![value("y", &[3])],
    };
    let beside = sidecars(&[("s", &3_i64.to_le_bytes()), ("w", &[0xf1, 0x08])]);
    let bytes = parts.file_of_opset(21);
    let program = import_program(OnnxFile { bytes: &bytes, sidecars: &beside }).unwrap();
    let x: Value = Array::f32s(&[1, 3], vec![0.0; 3]).unwrap().into();
    let y: Value = Array::f32s(&[3], vec![0.5, -0.5, -4.0]).unwrap().into();
    assert_eq!(program.run(vec![x], Limits::default()).unwrap(), [y]);
}

#[test]
fn a_place_that_does_not_hold_what_the_shape_asks_for_is_refused() {
    let beside = sidecars(&[(DATA, &[0; 30]), ("empty", &[])]);
    let at = |offset: &str, length: &str| weights(&[("location", DATA), ("offset", offset), ("length", length)]);
    refused(weights(&[("location", "gone")]), &beside, "\"gone\" was not handed over");
    refused(at("6", "23"), &beside, "it is said to have 23 bytes, its shape asks for 24");
    refused(at("0", "18446744073709551615"), &beside, "its shape asks for 24");
    refused(at("7", "24"), &beside, "\"model.onnx.data\" has 30 bytes, 24 from 7 on expected");
    refused(at("18446744073709551615", "24"), &beside, "has 30 bytes");
    refused(weights(&[("location", "empty")]), &beside, "\"empty\" has 0 bytes, 24 from 0 on expected");
    let huge = outside(tensor_head("w", &[1 << 25, 1 << 25], 1), &[("location", DATA)]);
    let file = small(huge).file();
    let error = import_program(OnnxFile { bytes: &file, sidecars: &beside }).unwrap_err();
    assert!(matches!(error, OnnxError::TooMany { what: "elements of a tensor", .. }), "{error}");
}

#[test]
fn a_place_that_two_readers_could_take_differently_is_refused() {
    let beside = sidecars(&[(DATA, &[0; 64])]);
    let here = || weights(&[("location", DATA)]);
    refused(here().bytes(9, &[0; 24]), &beside, "the model's file has numbers of it too");
    refused(weights(&[]), &beside, "lacks location");
    refused(weights(&[("location", DATA), ("location", DATA)]), &beside, "is there twice");
    refused(weights(&[("location", DATA), ("offset", "-1")]), &beside, "is not a number of bytes");
    refused(weights(&[("location", DATA), ("basepath", "/")]), &beside, "a place by another key");
    refused(here().integer(14, 1), &beside, "field 14 of TensorProto is there twice");
    let said = |place: i64| {
        let entry = Message::default().text(1, "location").text(2, DATA);
        tensor_head("w", &[2, 3], 1).message(13, &entry).integer(14, place)
    };
    refused(said(0), &beside, "a place in another file for a tensor of this one");
    refused(said(2), &beside, "neither in the file nor beside it");
    for name in ["../model.onnx.data", "/model.onnx.data", "a/../model.onnx.data", "./model.onnx.data", ""] {
        let tensor = || weights(&[("location", name)]);
        let error = refused(tensor(), &beside, "expected a plain path within the model's folder");
        assert_eq!(sidecar_names(&small(tensor()).file()), Err(error), "{name}");
    }
    let texts = outside(tensor_head("t", &[1], 8), &[("location", DATA)]);
    let file = Parts { initializers: vec![texts], ..small(weights(&[])) }.file();
    let error = import_program(OnnxFile { bytes: &file, sidecars: &beside }).unwrap_err();
    assert!(error.to_string().contains("it is of texts"), "{error}");
}

#[test]
fn tensors_may_share_bytes_and_a_damaged_file_names_its_sidecars_or_is_refused() {
    let two = Parts {
        nodes: vec![node("Add", &["x", "v"], "h", &[]), node("Add", &["h", "w"], "y", &[])],
        initializers: ["v", "w"].map(|name| outside(tensor_head(name, &[2], 1), &[("location", DATA)])).to_vec(),
        ..one_node("Relu", &[0, 2], &[], &[])
    };
    let (bytes, beside) = (two.file(), sidecars(&[(DATA, &bytes(&[1.0, 2.0]))]));
    let program = import_program(OnnxFile { bytes: &bytes, sidecars: &beside }).unwrap();
    let x: Value = Array::f32s(&[1, 2], vec![0.0, 0.0]).unwrap().into();
    let y: Value = Array::f32s(&[1, 2], vec![2.0, 4.0]).unwrap().into();
    assert_eq!(program.run(vec![x], Limits::default()).unwrap(), [y]);
    for at in 0..bytes.len() {
        let _ = sidecar_names(&bytes[..at]);
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let _ = sidecar_names(&flipped);
            let file = OnnxFile { bytes: &flipped, sidecars: &beside };
            let _ = (import(file), import_program(file));
        }
    }
}
