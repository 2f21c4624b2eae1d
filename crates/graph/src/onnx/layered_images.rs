//! Facts about the integer form of what image models are made of besides convolutions: near the floats of the same file on an image
//! that calibration never saw, and what of it is refused by name.

use super::layered::{between, image, refused, weights};
use super::write::{Message, Parts, Setting, float_tensor, integer_tensor, node, value};
use super::{Arithmetic, OnnxSources, compile_onnx, import_program};
use crate::program::{Array, Limits, Value};
use crate::{Model, evaluate};

fn list(values: &[i64]) -> Setting<'_> {
    Setting::Integers(values)
}

fn number(name: &str, value: f32) -> Message {
    float_tensor(name, &[], &[value])
}

/// The integer form, and how far it is from the floats on another image: the greatest distance as a share of the greatest float.
fn form_of(parts: &Parts, opset: i64) -> (Model, f32) {
    let file = parts.file_of_opset(opset);
    let calibration = [1, 3, 4, 5].map(image);
    let sources = OnnxSources {
        name: "n",
        arithmetic: Arithmetic::Integer,
        file: (&file).into(),
        calibration: &calibration,
        rows_max: 4,
    };
    let model = compile_onnx(&sources).unwrap();
    assert!(model.graph.is_integer());
    let (again, _) = Model::from_artefact(&model.to_artefact().into()).unwrap();
    let x = image(2);
    let array = Array::f32s(x[0].shape(), x[0].floats().unwrap().to_vec()).unwrap();
    let floats = import_program(&file).unwrap().run(vec![Value::from(array)], Limits::default()).unwrap();
    let (expected, found) = (floats[0].as_tensor().unwrap(), evaluate(&again.graph, &x).unwrap().remove(0));
    assert_eq!(expected.shape(), found.shape());
    let expected = expected.floats().unwrap();
    let most = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let pairs = expected.iter().zip(found.floats().unwrap());
    (model, pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f32::max) / most)
}

fn form(parts: &Parts) -> (Model, f32) {
    form_of(parts, 17)
}

fn check(what: &str, parts: &Parts, tolerance: f32) {
    let (_, far) = form(parts);
    assert!(far <= tolerance, "{what}: {far} of the greatest apart, expected {tolerance}");
}

fn names(model: &Model) -> Vec<&'static str> {
    model.graph.graph().nodes.iter().map(|node| node.operator.name).collect()
}

fn one(kind: &str, inputs: &[&str], settings: &[(&str, Setting)], initializers: Vec<Message>) -> Parts {
    between(vec![node(kind, inputs, "y", settings)], initializers, 4)
}

#[test]
fn paddings_of_every_mode_are_near() {
    let pad = |mode: &str, pads: &[i64], value: f32| {
        let initializers = vec![integer_tensor("pads", pads), number("value", value)];
        one("Pad", &["x", "pads", "value"], &[("mode", Setting::Text(mode))], initializers)
    };
    for (mode, pads, value) in [
        ("constant", [0, 0, 1, 2, 0, 0, 0, 3], 0.5),
        ("constant", [0, 1, 0, 0, 0, 2, 0, 0], -3.0),
        // More than the axis is long.
        ("constant", [0, 0, 0, 9, 0, 0, 0, 0], 0.0),
        ("constant", [0, 0, -1, 0, 0, 0, 2, -2], 0.25),
        ("reflect", [0, 0, 1, 2, 0, 0, 3, 0], 0.0),
        ("edge", [0, 1, 2, 0, 0, 0, 1, 3], 0.0),
    ] {
        check(&format!("{mode} {pads:?}"), &pad(mode, &pads, value), 1e-3);
    }
}

#[test]
fn zeros_around_an_image_are_the_padding_of_the_convolution_behind() {
    let nodes = vec![
        node("Pad", &["x", "pads"], "p", &[]),
        node("Conv", &["p", "w"], "y", &[("strides", list(&[2, 2])), ("pads", list(&[0, 1, 0, 0]))]),
    ];
    let initializers = vec![integer_tensor("pads", &[0, 0, 0, 1, 0, 0, 1, 1]), weights("w", &[4, 3, 3, 3], 1)];
    let (model, far) = form(&between(nodes, initializers, 4));
    let names = names(&model);
    assert_eq!(names.iter().filter(|name| **name == "convolve").count(), 1, "{names:?}");
    assert!(!names.contains(&"concat"), "{names:?}");
    assert!(far < 0.05, "{far}");
}

#[test]
fn images_resized_to_their_nearest_places_are_near() {
    let scales = |scales: &[f32]| vec![float_tensor("scales", &[4], scales)];
    let resize = |settings: &[(&str, Setting)], to: &[f32]| one("Resize", &["x", "", "scales"], settings, scales(to));
    let text = Setting::Text;
    for (what, parts) in [
        ("twice", resize(&[], &[1.0, 1.0, 2.0, 2.0])),
        ("odd scales", resize(&[], &[1.0, 1.0, 1.25, 1.5])),
        ("half", resize(&[("nearest_mode", text("ceil"))], &[1.0, 1.0, 0.5, 0.75])),
        ("asymmetric", {
            let settings = [("coordinate_transformation_mode", text("asymmetric")), ("nearest_mode", text("floor"))];
            resize(&settings, &[1.0, 2.0, 3.0, 1.0])
        }),
        ("corners", resize(&[("coordinate_transformation_mode", text("align_corners"))], &[1.0, 1.0, 2.5, 2.0])),
        ("Upsample", one("Upsample", &["x", "scales"], &[], scales(&[1.0, 1.0, 2.0, 3.0]))),
    ] {
        check(what, &parts, 1e-3);
    }
}

#[test]
fn sizes_say_the_same_as_scales() {
    let sizes =
        one("Resize", &["x", "", "", "sizes"], &[("axes", list(&[2, 3]))], vec![integer_tensor("sizes", &[6, 9])]);
    let (_, far) = form_of(&sizes, 18);
    assert!(far < 1e-3, "{far}");
}

#[test]
fn the_greatest_and_the_sum_of_places_are_near() {
    let reduced = |kind: &str, axes: &[i64], keeps: i64| {
        let settings = [("axes", list(axes)), ("keepdims", Setting::Integer(keeps))];
        between(vec![node(kind, &["x"], "y", &settings)], vec![], if keeps == 1 { 4 } else { 4 - axes.len() })
    };
    let summed = |axes: &[i64], keeps: i64| {
        let settings = [("keepdims", Setting::Integer(keeps))];
        let rank = if keeps == 1 { 4 } else { 4 - axes.len() };
        between(vec![node("ReduceSum", &["x", "axes"], "y", &settings)], vec![integer_tensor("axes", axes)], rank)
    };
    check("GlobalMaxPool", &one("GlobalMaxPool", &["x"], &[], vec![]), 1e-3);
    for (axes, keeps) in [(vec![2, 3], 1), (vec![2, 3], 0), (vec![1], 1), (vec![-1], 0), (vec![1, 2, 3], 0)] {
        check(&format!("ReduceMax {axes:?} {keeps}"), &reduced("ReduceMax", &axes, keeps), 1e-3);
        check(&format!("ReduceSum {axes:?} {keeps}"), &summed(&axes, keeps), 2e-3);
    }
}

#[test]
fn a_transposed_convolution_is_a_convolution_with_its_phases_in_turn() {
    let transposed = |shape: &[i64], settings: &[(&str, Setting)]| {
        one("ConvTranspose", &["x", "w"], settings, vec![weights("w", shape, 1)])
    };
    let each = |stride: i64| Setting::Integers(if stride == 2 { &[2, 2] } else { &[3, 3] });
    for (what, parts) in [
        ("plain", transposed(&[3, 4, 3, 2], &[])),
        ("twice", transposed(&[3, 2, 2, 2], &[("strides", each(2))])),
        ("cut", {
            let settings = [("strides", each(2)), ("pads", list(&[1, 1, 1, 0])), ("output_padding", list(&[1, 0]))];
            transposed(&[3, 4, 3, 3], &settings)
        }),
        ("gaps", transposed(&[3, 2, 2, 2], &[("strides", each(3))])),
        ("dilated", transposed(&[3, 2, 2, 2], &[("strides", each(2)), ("dilations", list(&[2, 1]))])),
        ("groups", transposed(&[3, 2, 3, 3], &[("group", Setting::Integer(3)), ("strides", each(2))])),
        ("same", transposed(&[3, 2, 3, 3], &[("strides", each(2)), ("auto_pad", Setting::Text("SAME_UPPER"))])),
    ] {
        check(what, &parts, 0.05);
    }
}

#[test]
fn a_transposed_convolution_takes_in_what_stands_behind_it() {
    let nodes = vec![
        node("ConvTranspose", &["x", "w", "b"], "c", &[("strides", list(&[2, 2]))]),
        node("Mul", &["c", "scale"], "m", &[]),
        node("Relu", &["m"], "y", &[]),
    ];
    let initializers = vec![weights("w", &[3, 4, 2, 2], 1), weights("b", &[4], 2), weights("scale", &[1, 4, 1, 1], 3)];
    let (model, far) = form(&between(nodes, initializers, 4));
    let names = names(&model);
    assert_eq!(names.iter().filter(|name| **name == "convolve").count(), 1, "{names:?}");
    assert!(!names.iter().any(|name| matches!(*name, "multiply" | "add_scaled" | "lookup")), "{names:?}");
    assert!(far < 0.05, "{far}");
}

#[test]
fn channels_and_groups_of_them_are_normalised_near_the_floats() {
    let factors = |count: i64| vec![weights("g", &[count], 3), weights("b", &[count], 4)];
    let ones = vec![float_tensor("g", &[3], &[1.0; 3]), float_tensor("b", &[3], &[0.0; 3])];
    check("gains", &one("InstanceNormalization", &["x", "g", "b"], &[], factors(3)), 5e-3);
    check("none", &one("InstanceNormalization", &["x", "g", "b"], &[], ones), 5e-3);
    let grouped = |groups: i64| [("num_groups", Setting::Integer(groups))];
    for (opset, groups, count) in [(21, 1, 3), (21, 3, 3), (18, 1, 1)] {
        let parts = one("GroupNormalization", &["x", "g", "b"], &grouped(groups), factors(count));
        let (_, far) = form_of(&parts, opset);
        assert!(far < 5e-3, "{groups} groups at {opset}: {far}");
    }
}

#[test]
fn a_small_u_net_is_near() {
    let three = [("pads", list(&[1, 1, 1, 1]))];
    let twice = [("kernel_shape", list(&[2, 2])), ("strides", list(&[2, 2]))];
    let nodes = vec![
        node("Conv", &["x", "w0"], "c0", &three),
        node("InstanceNormalization", &["c0", "g", "b"], "n0", &[]),
        node("Relu", &["n0"], "a0", &[]),
        node("MaxPool", &["a0"], "p0", &twice),
        node("Conv", &["p0", "w1"], "c1", &three),
        node("Relu", &["c1"], "a1", &[]),
        node("Resize", &["a1", "", "scales"], "u1", &[]),
        node("Concat", &["a0", "u1"], "j1", &[("axis", Setting::Integer(1))]),
        node("Pad", &["j1", "pads"], "r1", &[("mode", Setting::Text("reflect"))]),
        node("Conv", &["r1", "w2"], "c2", &[]),
        node("Relu", &["c2"], "a2", &[]),
        node("ConvTranspose", &["a2", "w3"], "y", &[("strides", list(&[2, 2]))]),
    ];
    let initializers = vec![
        weights("w0", &[4, 3, 3, 3], 1),
        weights("g", &[4], 2),
        weights("b", &[4], 3),
        weights("w1", &[4, 4, 3, 3], 4),
        float_tensor("scales", &[4], &[1.0, 1.0, 2.0, 2.0]),
        integer_tensor("pads", &[0, 0, 1, 1, 0, 0, 1, 1]),
        weights("w2", &[4, 8, 3, 3], 5),
        weights("w3", &[4, 2, 2, 2], 6),
    ];
    let (model, far) = form(&between(nodes, initializers, 4));
    assert_eq!(names(&model).iter().filter(|name| **name == "convolve").count(), 4);
    assert!(far < 0.15, "{far}");
}

#[test]
fn what_image_models_have_without_an_integer_form_is_named() {
    let pad = |pads: &[i64], settings: &[(&str, Setting)], value: f32| {
        one("Pad", &["x", "pads", "value"], settings, vec![integer_tensor("pads", pads), number("value", value)])
    };
    refused(&pad(&[0, 0, 1, 0, 0, 0, 0, 0], &[], f32::INFINITY), "pads with what is no finite number");
    refused(&pad(&[1, 0, 0, 0, 0, 0, 0, 0], &[], 0.0), "node \"the_y\" (Pad): takes other rows than its own");
    let edge = [("mode", Setting::Text("edge"))];
    refused(&pad(&[0, 0, 70, 0, 0, 0, 0, 0], &edge, 0.0), "puts an axis together of 71 pieces, expected 1 to 64");
    let scales = vec![float_tensor("scales", &[4], &[1.0, 1.0, 2.0, 2.0])];
    let linear = one("Resize", &["x", "", "scales"], &[("mode", Setting::Text("linear"))], scales);
    refused(&linear, "node \"the_y\" (Resize): mixes places");
    let summed = |axes: &[i64]| one("ReduceSum", &["x", "axes"], &[], vec![integer_tensor("axes", axes)]);
    refused(&summed(&[1, 3]), "is over axes [1, 3] of rank 4: expected neighbours");
    refused(&summed(&[0]), "is over the rows, or over all or no axes");
    refused(&one("ReduceMax", &["x"], &[], vec![]), "has computed axes, or is over all");
    let wide = one("ConvTranspose", &["x", "w"], &[("dilations", list(&[9, 9]))], vec![weights("w", &[3, 2, 2, 2], 1)]);
    refused(&wide, "no integer form exists for \"the_y\" (ConvTranspose)");
}

#[test]
fn a_normalisation_of_no_image_or_with_computed_gains_is_named() {
    let flat = [("axes", list(&[2, 3])), ("keepdims", Setting::Integer(0))];
    let factors = vec![weights("g", &[3], 1)];
    let nodes = vec![node("ReduceMax", &["x"], "m", &flat), node("InstanceNormalization", &["m", "g", "g"], "y", &[])];
    refused(&between(nodes, factors, 2), "expected an image");
    // Of a batch whose size is fixed, one image's own channels as gains.
    let nodes = vec![
        node("Slice", &["x", "zero", "one", "zero"], "s", &[]),
        node("ReduceMax", &["s"], "m", &flat),
        node("Reshape", &["m", "three"], "g", &[]),
        node("InstanceNormalization", &["x", "g", "g"], "y", &[]),
    ];
    let initializers = vec![integer_tensor("zero", &[0]), integer_tensor("one", &[1]), integer_tensor("three", &[3])];
    let parts = Parts {
        nodes,
        initializers,
        inputs: vec![value("x", &[2, 3, 4, 4])],
        outputs: vec![value("y", &[2, 3, 4, 4])],
    };
    refused(&parts, "node \"the_y\" (InstanceNormalization): has computed gains or biases, or odd groups");
}
