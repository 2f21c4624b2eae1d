//! Facts about the operators of tensor models: what they compute, to the bit, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    Attributes, Data, Element, Format, Graph, GraphRefusal, Input, Interval, Output, Packed, Shape, Source, Tensor,
    evaluate, ops,
};

const ROWS_MAX: usize = 8;

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::new(shape, Data::F32(values.to_vec())).unwrap()
}

fn packed(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::packed(shape, Packed::of_floats(Format::F32, shape, values).unwrap())
}

fn integers(element: Element, shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::of_integers(element, shape, values.iter().copied()).unwrap()
}

/// A graph of one node: its first input is the caller's, the others are constants.
fn one_node(
    name: &str,
    attributes: Attributes,
    element: Element,
    shape: Shape,
    constants: &[Tensor],
) -> Result<graph::Checked, GraphRefusal> {
    let interval = Interval::of(element);
    let inputs = vec![Input { name: "x".to_owned(), element, shape, interval }];
    let mut graph = Graph { inputs, ..Graph::default() };
    let mut sources = vec![Source::Input(0)];
    sources.extend(constants.iter().map(|tensor| graph.constant("c", tensor.clone())));
    let source = graph.node("node", ops::find(name).unwrap(), attributes, &sources);
    graph.outputs.push(Output { name: "y".to_owned(), source });
    graph.check(ROWS_MAX)
}

fn run(name: &str, attributes: Attributes, x: Tensor, constants: &[Tensor]) -> Tensor {
    let shape = Shape::rows(&x.shape()[1..]);
    let checked = one_node(name, attributes, x.element(), shape, constants).unwrap();
    evaluate(&checked, &[x]).unwrap().remove(0)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.floats().unwrap().iter().map(|value| value.to_bits()).collect()
}

fn refused(name: &str, attributes: Attributes, element: Element, width: usize, constants: &[Tensor], said: &str) {
    let refusal = one_node(name, attributes, element, Shape::rows(&[width]), constants).unwrap_err();
    assert!(refusal.to_string().contains(said), "{refusal} lacks {said:?}");
}

#[test]
fn curves_give_their_frozen_bits() {
    let x = floats(&[1, 6], &[-100.0, -1.5, -0.125, 0.0, 0.7, 90.0]);
    let cases: [(&str, [u32; 6]); 4] = [
        ("exp_f32", [0x00b3_3686, 0x3e64_7c3c, 0x3f61_eb51, 0x3f80_0000, 0x4000_e153, 0x7ef8_82b7]),
        ("sigmoid_f32", [0x0041_edc4, 0x3e3a_cdc2, 0x3ef0_0553, 0x3f00_0000, 0x3f2b_0e5a, 0x3f80_0000]),
        ("tanh_f32", [0xbf80_0000, 0xbf67_b7cc, 0xbdfe_acc9, 0x0000_0000, 0x3f1a_b7d9, 0x3f80_0000]),
        ("softmax_f32", [0x00b3_3686, 0x00b3_3686, 0x00b3_3686, 0x00b3_3686, 0x00b3_3686, 0x3f80_0000]),
    ];
    for (name, expected) in cases {
        let found = bits(&run(name, Attributes::new(), x.clone(), &[]));
        assert_eq!(found, expected, "{name}: {found:#010x?}");
    }
}

#[test]
fn simple_float_operators_compute_what_they_say() {
    let x = floats(&[1, 4], &[-3.0, -0.0, 0.5, 4.0]);
    let none = Attributes::new;
    let other = [floats(&[4], &[1.0, 2.0, 3.0, 4.0])];
    assert_eq!(run("relu_f32", none(), x.clone(), &[]), floats(&[1, 4], &[0.0, 0.0, 0.5, 4.0]));
    assert_eq!(run("subtract_f32", none(), x.clone(), &other), floats(&[1, 4], &[-4.0, -2.0, -2.5, 0.0]));
    assert_eq!(run("divide_f32", none(), x.clone(), &other), floats(&[1, 4], &[-3.0, -0.0, 0.5 / 3.0, 1.0]));
    let clip = none().with("low", -1.0_f32).with("high", 1.0_f32);
    assert_eq!(run("clip_f32", clip, x.clone(), &[]), floats(&[1, 4], &[-1.0, -0.0, 0.5, 1.0]));
    assert_eq!(run("mean_f32", none(), x.clone(), &[]), floats(&[1, 1], &[0.375]));
    assert_eq!(run("reshape", none().with("sizes", vec![0, 2, 2]), x.clone(), &[]).shape(), [1, 2, 2]);
}

#[test]
fn a_linear_sum_is_a_chain_of_fused_steps_with_the_bias_last() {
    let x = floats(&[1, 3], &[1.0 + f32::EPSILON, 1e8, -1e8]);
    let weights = packed(&[1, 3], &[1.0 - f32::EPSILON, 1.0, 1.0]);
    let chain = -1e8_f32 + 1e8_f32.mul_add(1.0, (1.0 + f32::EPSILON) * (1.0 - f32::EPSILON));
    let found = run("linear_f32", Attributes::new(), x, &[weights, floats(&[1], &[0.25])]);
    assert_eq!(bits(&found), [(chain + 0.25).to_bits()]);
}

#[test]
fn concat_joins_along_its_axis() {
    let x = integers(Element::I16, &[2, 2], &[1, 2, 3, 4]);
    let mut graph = Graph {
        inputs: vec![Input {
            name: "x".to_owned(),
            element: Element::I16,
            shape: Shape::rows(&[2]),
            interval: Interval { low: -9, high: 9 },
        }],
        ..Graph::default()
    };
    let axis = Attributes::new().with("axis", 1_i64);
    let source = graph.node("n", ops::find("concat").unwrap(), axis, &[Source::Input(0), Source::Input(0)]);
    graph.outputs.push(Output { name: "y".to_owned(), source });
    let checked = graph.check(ROWS_MAX).unwrap();
    assert_eq!(checked.fact(source).unwrap().interval, Interval { low: -9, high: 9 });
    assert_eq!(evaluate(&checked, &[x]).unwrap()[0], integers(Element::I16, &[2, 4], &[1, 2, 1, 2, 3, 4, 3, 4]));
}

#[test]
fn floats_enter_rounded_to_even_and_clamped() {
    let attributes =
        Attributes::new().with("element", 3_i64).with("fraction", 1_i64).with("low", -5_i64).with("high", 6_i64);
    let x = floats(&[1, 7], &[0.25, 0.75, -0.25, -0.75, 100.0, f32::MIN, 1.0e-40]);
    let found = run("quantise", attributes, x, &[]);
    assert_eq!(found, integers(Element::I16, &[1, 7], &[0, 2, 0, -2, 6, -5, 0]));
}

#[test]
fn integers_leave_exactly() {
    let x = integers(Element::I16, &[1, 4], &[-32_768, -1, 3, 32_767]);
    let found = run("dequantise", Attributes::new().with("fraction", 14_i64), x, &[]);
    assert_eq!(found, floats(&[1, 4], &[-2.0, -1.0 / 16_384.0, 3.0 / 16_384.0, 32_767.0 / 16_384.0]));
}

#[test]
fn integer_softmax_is_a_table_and_one_reciprocal() {
    let table = integers(Element::I16, &[3], &[1000, 500, 10]);
    let attributes = Attributes::new().with("multiplier", 1_i64).with("shift", 1_i64);
    let found = run("softmax", attributes, integers(Element::I16, &[1, 4], &[7, 6, 5, -90]), &[table]);
    // Distances 0, 1, 2, 97 become entries 0, 1 (a half rounds up), 1 and the last.
    let expected = [1000.0, 500.0, 500.0, 10.0].map(|e: f64| (e / 2010.0 * 16_384.0).round() as i64);
    assert_eq!(found, integers(Element::I16, &[1, 4], &expected));
}

#[test]
fn floats_at_the_boundary_are_bounded() {
    let enter = |element: i64, fraction: i64, low: i64, high: i64| {
        Attributes::new().with("element", element).with("fraction", fraction).with("low", low).with("high", high)
    };
    refused("quantise", enter(7, 0, 0, 1), Element::F32, 2, &[], "attribute element is 7, expected 1 to 4");
    refused("quantise", enter(1, 63, 0, 1), Element::F32, 2, &[], "attribute fraction is 63");
    refused("quantise", enter(1, 0, 0, 128), Element::F32, 2, &[], "outside of i8");
    refused("quantise", enter(1, 0, 2, 1), Element::F32, 2, &[], "attribute low is 2");
    refused("quantise", enter(1, 0, 0, 1), Element::I8, 2, &[], "expected f32");
    let leave = Attributes::new().with("fraction", 3_i64);
    refused("dequantise", leave.clone(), Element::I32, 2, &[], "outside of the integers that f32 holds");
    refused("dequantise", leave, Element::F32, 2, &[], "expected integers");
    refused("dequantise", Attributes::new().with("fraction", 63_i64), Element::I8, 2, &[], "attribute fraction is 63");
}

#[test]
fn what_does_not_fit_an_operator_is_refused() {
    let none = Attributes::new;
    let clip = none().with("low", 2.0_f32).with("high", 1.0_f32);
    refused("clip_f32", clip, Element::F32, 2, &[], "attribute low is missing or is not at most the attribute high");
    refused("relu_f32", none(), Element::I8, 2, &[], "expected f32");
    refused("softmax_f32", none(), Element::F32, 0, &[], "innermost size that is fixed and not 0");
    refused("mean_f32", none(), Element::F32, (1 << 24) + 1, &[], "an innermost size up to 2^24");
    let weights = packed(&[2, 3], &[0.0; 6]);
    refused("linear_f32", none(), Element::F32, 2, std::slice::from_ref(&weights), "expected [outputs, 2]");
    refused("linear_f32", none(), Element::F32, 3, &[weights.clone(), floats(&[3], &[0.0; 3])], "expected [2]");
    refused("linear_f32", none(), Element::F32, 3, &[packed(&[1, 2, 3], &[0.0; 6])], "expected [outputs, inputs]");
    refused("linear_f32", none(), Element::F32, 3, &[floats(&[2, 3], &[0.0; 6])], "expected packed f32, f16 or bf16");
    refused("subtract_f32", none(), Element::F32, 3, &[floats(&[2], &[0.0; 2])], "broadcasts with [rows, 3]");
    for sizes in [vec![0, 3], vec![4], vec![0, -4], vec![2, 0], vec![0, 2, 0]] {
        refused("reshape", none().with("sizes", sizes), Element::F32, 4, &[], "attribute sizes");
    }
    let axis = |axis: i64| none().with("axis", axis);
    refused("concat", axis(2), Element::F32, 3, &[], "attribute axis is 2, expected 0 to 1");
    refused("concat", axis(0), Element::F32, 3, &[], "but for axis 0");
    refused("concat", axis(1), Element::F32, 3, &[floats(&[1, 3], &[0.0; 3])], "but for axis 1");
    refused("concat", axis(1), Element::F32, 3, &[integers(Element::I8, &[1, 3], &[0; 3])], "expected f32");
}

#[test]
fn a_softmax_needs_a_falling_table_and_small_factors() {
    let scale = |multiplier: i64, shift: i64| Attributes::new().with("multiplier", multiplier).with("shift", shift);
    let table = |values: &[i64]| [integers(Element::I16, &[values.len()], values)];
    refused("softmax", scale(1, 0), Element::I64, 2, &table(&[1]), "at most 32 bits");
    refused("softmax", scale(1, 0), Element::I8, 2, &table(&[5, 6]), "its greatest entry first");
    refused("softmax", scale(1, 0), Element::I8, 2, &table(&[5, -1]), "none below 0");
    refused("softmax", scale(1, 0), Element::I8, 2, &table(&[0]), "its greatest entry first");
    refused("softmax", scale(1, 0), Element::I8, 2, &[integers(Element::I8, &[1], &[1])], "expected i16");
    refused("softmax", scale(1, 0), Element::I8, (1 << 20) + 1, &table(&[1]), "up to 2^20");
    refused("softmax", scale(1 << 30, 0), Element::I8, 2, &table(&[1]), "attribute multiplier");
    refused("softmax", scale(1, 63), Element::I8, 2, &table(&[1]), "attribute shift");
    refused("softmax", scale(1, 0), Element::I8, 2, &[integers(Element::I16, &[1, 1], &[1])], "65536 entries");
}
