//! Facts about the operators of images and encoders: what they compute, to the bit, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    Attributes, Element, Graph, GraphRefusal, Input, Interval, Output, Packed, Reach, Shape, Source, Tensor, evaluate,
    ops,
};

/// What a node is given: a value of the caller, or a constant.
#[derive(Clone)]
enum Given {
    Value(Tensor, Interval),
    Constant(Tensor),
}

fn integers(element: Element, shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::of_integers(element, shape, values.iter().copied()).unwrap()
}

fn value(element: Element, shape: &[usize], values: &[i64]) -> Given {
    Given::Value(integers(element, shape, values), Interval::of(element))
}

/// A value of which more is known than its element.
fn within(most: i64, shape: &[usize], values: &[i64]) -> Given {
    Given::Value(integers(Element::I16, shape, values), Interval { low: -most, high: most })
}

fn constant(element: Element, shape: &[usize], values: &[i64]) -> Given {
    Given::Constant(integers(element, shape, values))
}

fn weights(shape: &[usize], values: &[i8]) -> Given {
    Given::Constant(Tensor::packed(shape, Packed::of_integers(shape, values).unwrap()))
}

fn run(name: &str, attributes: Attributes, given: Vec<Given>) -> Result<Tensor, GraphRefusal> {
    let (mut graph, mut inputs, mut sources) = (Graph::default(), Vec::new(), Vec::new());
    for given in given {
        sources.push(match given {
            Given::Constant(tensor) => graph.constant("c", tensor),
            Given::Value(tensor, interval) => {
                let shape = Shape::rows(&tensor.shape()[1..]);
                graph.inputs.push(Input { name: "x".into(), element: tensor.element(), shape, interval });
                inputs.push(tensor);
                Source::Input(inputs.len() - 1)
            }
        });
    }
    let source = graph.node("node", ops::find(name).unwrap(), attributes, &sources);
    graph.outputs.push(Output { name: "y".into(), source });
    let checked = graph.check(8)?;
    let found = evaluate(&checked, &inputs).unwrap().remove(0);
    let (interval, (low, high)) = (checked.fact(source).unwrap().interval, found.extremes().unwrap());
    assert!(interval.low <= low && high <= interval.high, "{name}: {low} to {high} outside of {interval:?}");
    Ok(found)
}

fn refused(name: &str, attributes: Attributes, given: Vec<Given>, said: &str) {
    let refusal = run(name, attributes, given).unwrap_err().to_string();
    assert!(refusal.contains(said), "{refusal} lacks {said:?}");
}

fn windows(kernel: &[i64], strides: &[i64], pads: &[i64], dilations: &[i64]) -> Attributes {
    let lists = Attributes::new().with("kernel", kernel.to_vec()).with("strides", strides.to_vec());
    lists.with("pads", pads.to_vec()).with("dilations", dilations.to_vec())
}

fn scaled(attributes: Attributes, element: Element, low: i64, high: i64) -> Attributes {
    attributes.with("element", i64::from(element.code())).with("low", low).with("high", high)
}

fn convolution(groups: i64) -> Attributes {
    scaled(windows(&[2, 2], &[1, 2], &[1, 0, 0, 1], &[1, 1]), Element::I8, -100, 100).with("groups", groups)
}

/// Bias, multipliers and shifts of so many outputs: half of the sum.
fn halves(outputs: usize) -> Vec<Given> {
    vec![
        constant(Element::I32, &[outputs], &vec![1; outputs]),
        constant(Element::I32, &[1], &[1]),
        constant(Element::U8, &[1], &[1]),
    ]
}

#[test]
fn a_convolution_adds_what_lies_under_each_window_and_halves_it() {
    let x = value(Element::I8, &[1, 2, 3, 1], &[1, 2, 3, 4, 5, 6]);
    let given = [vec![x, weights(&[1, 4], &[1, 10, 20, 30])], halves(1)].concat();
    // Windows begin at rows -1 and 0, columns 0 and 2; the column behind the last is padding.
    let sums = [20 + 60, 60, 1 + 20 + 80 + 150, 3 + 120];
    let expected: Vec<i64> = sums.iter().map(|sum| ((sum + 1 + 1) >> 1).min(100)).collect();
    let found = run("convolve", convolution(1), given).unwrap();
    assert_eq!(found, integers(Element::I8, &[1, 2, 2, 1], &expected));
}

#[test]
fn a_group_sees_its_own_channels() {
    let x = value(Element::U8, &[1, 1, 1, 4], &[1, 2, 200, 4]);
    let one = scaled(windows(&[1, 1], &[1, 1], &[0; 4], &[1, 1]), Element::I16, -1000, 1000).with("groups", 2);
    let given = [vec![x, weights(&[2, 2], &[1, 2, 3, -4])], halves(2)].concat();
    assert_eq!(run("convolve", one, given).unwrap(), integers(Element::I16, &[1, 1, 1, 2], &[3, 293]));
}

#[test]
fn a_kernel_without_axes_is_a_linear_layer_with_its_scale() {
    let x = value(Element::I8, &[2, 3], &[1, 2, 3, -128, 127, 0]);
    let plain = scaled(windows(&[], &[], &[], &[]), Element::I32, -1000, 1000).with("groups", 1);
    let given = [vec![x, weights(&[2, 3], &[1, 2, 3, -1, 0, 1])], halves(2)].concat();
    assert_eq!(run("convolve", plain, given).unwrap(), integers(Element::I32, &[2, 2], &[8, 2, 64, 65]));
}

#[test]
fn pools_take_the_greatest_and_the_sum_without_the_padding() {
    let x = || value(Element::I8, &[1, 2, 2, 2], &[-1, 5, -2, 6, -3, 7, -4, -8]);
    let all = || windows(&[2, 2], &[1, 1], &[0, 0, 1, 0], &[1, 1]);
    assert_eq!(run("pool_max", all(), vec![x()]).unwrap(), integers(Element::I8, &[1, 2, 1, 2], &[-1, 7, -3, 7]));
    assert_eq!(run("pool_sum", all(), vec![x()]).unwrap(), integers(Element::I32, &[1, 2, 1, 2], &[-10, 10, -7, -1]));
    let along = windows(&[2], &[2], &[0, 0], &[1]);
    let line = value(Element::I16, &[1, 4, 1], &[1, 9, 3, 4]);
    assert_eq!(run("pool_max", along, vec![line]).unwrap(), integers(Element::I16, &[1, 2, 1], &[9, 4]));
}

#[test]
fn a_scaled_sum_is_rounded_once_and_clamped() {
    let (a, b) = (value(Element::I8, &[1, 3], &[5, -5, 127]), value(Element::U8, &[1, 3], &[3, 2, 255]));
    let attributes = scaled(Attributes::new(), Element::I8, -9, 100).with("left", 3).with("right", -2).with("shift", 1);
    let found = run("add_scaled", attributes, vec![a, b]).unwrap();
    assert_eq!(found, integers(Element::I8, &[1, 3], &[5, -9, -9]));
}

#[test]
fn a_norm_has_mean_0_and_variance_1_before_its_gain() {
    let x = within(1000, &[1, 4], &[1, 3, 5, 7]);
    let attributes = scaled(Attributes::new(), Element::I32, -1_000_000, 1_000_000).with("epsilon", 1).with("shift", 0);
    let given = vec![x, constant(Element::I32, &[4], &[1, 1, 1, -1]), constant(Element::I64, &[4], &[0, 0, 0, 5])];
    let found = run("layer_norm", attributes, given).unwrap();
    // v = 4 · 84 - 256 + 1 = 81, so the values are c / 9 in units of 2^-16, c = -12, -4, 4, 12.
    let unit = |c: f64| (c / 9.0 * 65_536.0).round() as i64;
    assert_eq!(found, integers(Element::I32, &[1, 4], &[unit(-12.0), unit(-4.0), unit(4.0), 5 - unit(12.0)]));
}

fn table() -> Given {
    constant(Element::I16, &[3], &[1000, 500, 10])
}

fn scale(multiplier: i64, shift: i64) -> Attributes {
    Attributes::new().with("multiplier", multiplier).with("shift", shift)
}

#[test]
fn attention_mixes_the_values_of_the_keys_that_it_sees() {
    let q = || within(100, &[1, 2, 1], &[1, 2]);
    let k = || within(100, &[1, 3, 1], &[3, 2, 1]);
    let v = || within(100, &[1, 3, 1], &[10, 20, 90]);
    let mean = |weights: [f64; 3]| {
        let sum: f64 = weights.iter().sum();
        ((weights[0] * 10.0 + weights[1] * 20.0 + weights[2] * 90.0) / sum * 256.0).round() as i64
    };
    let found = run("attend", scale(1, 0), vec![q(), k(), v(), table()]).unwrap();
    let expected = [mean([1000.0, 500.0, 10.0]), mean([1000.0, 10.0, 10.0])];
    assert_eq!(found, integers(Element::I32, &[1, 2, 1], &expected));
    let masked = |mask: &[i64]| {
        let mask = Given::Value(integers(Element::U8, &[1, 1, 3], mask), Interval { low: 0, high: 1 });
        run("attend", scale(1, 0), vec![q(), k(), v(), table(), mask]).unwrap()
    };
    let expected = [mean([0.0, 1000.0, 500.0]), mean([0.0, 1000.0, 10.0])];
    assert_eq!(masked(&[0, 1, 1]), integers(Element::I32, &[1, 2, 1], &expected));
    assert_eq!(masked(&[0, 0, 0]), found);
}

#[test]
fn movements_move() {
    let x = || value(Element::I16, &[1, 2, 3], &[1, 2, 3, 4, 5, 6]);
    let turned = run("transpose", Attributes::new().with("axes", vec![0, 2, 1]), vec![x()]).unwrap();
    assert_eq!(turned, integers(Element::I16, &[1, 3, 2], &[1, 4, 2, 5, 3, 6]));
    let every = |start: i64, step: i64, count: i64| {
        Attributes::new().with("axis", 2).with("start", start).with("step", step).with("count", count)
    };
    let cut = run("slice", every(0, 2, 2), vec![x()]).unwrap();
    assert_eq!(cut, integers(Element::I16, &[1, 2, 2], &[1, 3, 4, 6]));
    refused("slice", every(1, 2, 2), vec![x()], "attribute count is 2, expected 1 to 1");
    refused("slice", every(3, 1, 1), vec![x()], "attribute start is 3, expected 0 to 2");
    refused("slice", every(0, 0, 1), vec![x()], "attribute step is 0");
    refused("slice", every(0, 1, 1).with("axis", 0), vec![x()], "a fixed size along the axis");
    for axes in [vec![0, 1], vec![0, 1, 1], vec![1, 0, 2], vec![0, 1, 3], vec![0, 1, -1]] {
        refused("transpose", Attributes::new().with("axes", axes), vec![x()], "attribute axes");
    }
}

#[test]
fn none_of_them_reaches_another_row() {
    for name in ["add_scaled", "attend", "convolve", "layer_norm", "pool_max", "pool_sum", "slice", "transpose"] {
        assert_eq!(ops::find(name).unwrap().reach, Reach::Row, "{name}");
    }
}

#[test]
fn windows_that_fit_nowhere_are_refused() {
    let x = || value(Element::I8, &[1, 2, 2, 1], &[0; 4]);
    let pool = |kernel: &[i64], strides: &[i64], pads: &[i64], dilations: &[i64], said: &str| {
        refused("pool_max", windows(kernel, strides, pads, dilations), vec![x()], said);
    };
    pool(&[3, 1], &[1, 1], &[0; 4], &[1, 1], "sizes of at least one window");
    pool(&[1, 1], &[0, 1], &[0; 4], &[1, 1], "attribute strides is 0");
    pool(&[1, 1], &[1], &[0; 4], &[1, 1], "as many sizes as the kernel has axes");
    pool(&[1, 1], &[1, 1], &[0; 2], &[1, 1], "as many sizes as the kernel has axes");
    pool(&[1, 1], &[1, 1], &[0, 0, 0, -1], &[1, 1], "attribute pads is -1");
    pool(&[1; 4], &[1; 4], &[0; 8], &[1; 4], "at most 3 sizes");
    pool(&[1, 1], &[1, 1], &[1, 0, 0, 0], &[1, 1], "no window has nothing else");
    pool(&[2, 1], &[1, 1], &[0, 0, 2, 0], &[1, 1], "no window has nothing else");
    pool(&[1 << 16, 1 << 16], &[1, 1], &[1 << 16; 4], &[1, 1], "at most 2^20 places");
    refused("pool_max", windows(&[1, 1, 1], &[1; 3], &[0; 6], &[1; 3]), vec![x()], "these fixed and not 0");
    let wide = Given::Value(integers(Element::I32, &[1, 2, 1], &[0; 2]), Interval { low: 0, high: 1 << 30 });
    refused("pool_sum", windows(&[2], &[1], &[0, 0], &[1]), vec![wide], "outside of i32");
}

#[test]
fn what_does_not_fit_a_convolution_is_refused() {
    let x = |element| value(element, &[1, 2, 3, 2], &[0; 12]);
    let with = |element, matrix: Given, rest: Vec<Given>| [vec![x(element), matrix], rest].concat();
    let matrix = || weights(&[2, 8], &[0; 16]);
    refused("convolve", convolution(1), with(Element::I16, matrix(), halves(2)), "expected i8 or u8");
    refused("convolve", convolution(2), with(Element::I8, matrix(), halves(2)), "[outputs of 2 groups, 4]");
    refused("convolve", convolution(3), with(Element::I8, matrix(), halves(2)), "attribute groups is 3");
    refused("convolve", convolution(1), with(Element::I8, matrix(), halves(3)), "expected [2]");
    let floats = Given::Constant(Tensor::new(&[2, 8], graph::Data::F32(vec![0.0; 16])).unwrap());
    refused("convolve", convolution(1), with(Element::I8, floats, halves(2)), "expected packed i8");
    let scale = |multipliers: &[i64], shifts: &[i64]| {
        vec![
            constant(Element::I32, &[2], &[1, 1]),
            constant(Element::I32, &[multipliers.len()], multipliers),
            constant(Element::U8, &[shifts.len()], shifts),
        ]
    };
    let case =
        |rest: Vec<Given>, said: &str| refused("convolve", convolution(1), with(Element::I8, matrix(), rest), said);
    case(scale(&[1, 1, 1], &[1]), "expected [1] or [2]");
    case(scale(&[-1], &[1]), "input 3 holds -1, expected multipliers from 0");
    case(scale(&[1], &[63]), "input 4 holds 63, expected shifts to 62");
    let mut large = scale(&[1], &[1]);
    large[0] = constant(Element::I32, &[2], &[0, 1 << 30]);
    let ones = weights(&[2, 8], &[1; 16]);
    refused("convolve", convolution(1), with(Element::I8, ones, large), "outside of the accumulator's 2^30");
    refused(
        "convolve",
        scaled(convolution(1), Element::I8, 2, 1),
        with(Element::I8, matrix(), halves(2)),
        "attribute low",
    );
    let far = scaled(convolution(1), Element::I8, -200, 200);
    let heavy = vec![constant(Element::I32, &[2], &[0, 1 << 20]), halves(2).remove(1), halves(2).remove(2)];
    refused("convolve", far, with(Element::I8, matrix(), heavy), "outside of i8");
    refused("convolve", convolution(1).with("element", 7), with(Element::I8, matrix(), halves(2)), "attribute element");
}

#[test]
fn sums_norms_and_attention_are_bounded() {
    let x = || value(Element::I16, &[1, 4], &[0; 4]);
    let sum = scaled(Attributes::new(), Element::I8, -1, 1).with("left", 1).with("right", 1).with("shift", 0);
    refused("add_scaled", sum.clone().with("left", 1_i64 << 31), vec![x(), x()], "attribute left");
    refused("add_scaled", sum.clone().with("low", 2), vec![x(), x()], "attribute low is 2");
    refused("add_scaled", sum.clone().with("shift", 63), vec![x(), x()], "attribute shift");
    refused("add_scaled", sum.clone().with("high", 200), vec![x(), x()], "outside of i8");
    let wide = || Given::Value(integers(Element::I32, &[1, 4], &[0; 4]), Interval::of(Element::I32));
    let most = sum.with("left", (1_i64 << 31) - 1);
    refused("add_scaled", most, vec![wide(), x()], "outside of the sum's 2^61");

    let norm = scaled(Attributes::new(), Element::I8, -1, 1).with("epsilon", 1).with("shift", 0);
    let gain = |high: i64| constant(Element::I32, &[4], &[high, 0, 0, 0]);
    let bias = |high: i64| constant(Element::I64, &[4], &[high, 0, 0, 0]);
    refused("layer_norm", norm.clone().with("epsilon", 0), vec![x(), gain(0), bias(0)], "attribute epsilon is 0");
    refused("layer_norm", norm.clone().with("low", 2), vec![x(), gain(0), bias(0)], "attribute low is 2");
    refused("layer_norm", norm.clone(), vec![x(), gain(0), bias((1 << 61) + 1)], "outside of the gain's 2^61");
    refused("layer_norm", norm.clone(), vec![wide(), gain(0), bias(0)], "outside of the squared deviations' 2^62");
    refused("layer_norm", norm.clone(), vec![x(), x(), bias(0)], "input 1 has elements i16");
    refused("layer_norm", norm, vec![x(), constant(Element::I32, &[3], &[0; 3]), bias(0)], "expected [4]");

    let q = |width: usize| value(Element::I8, &[1, 2, width], &vec![0; 2 * width]);
    let tables = |values: &[i64]| constant(Element::I16, &[values.len()], values);
    refused("attend", scale(1, 0), vec![q(2), q(3), q(2), table()], "expected [rows, 2, 2]");
    refused("attend", scale(1, 0), vec![x(), q(2), q(2), table()], "[…, positions, width], these two fixed");
    refused(
        "attend",
        scale(1, 0),
        vec![value(Element::U8, &[1, 1, 1], &[0]), q(1), q(1), table()],
        "expected i8 or i16",
    );
    refused("attend", scale(1 << 31, 0), vec![q(2), q(2), q(2), table()], "attribute multiplier");
    refused("attend", scale(1, 63), vec![q(2), q(2), q(2), table()], "attribute shift");
    refused("attend", scale(1, 0), vec![q(2), q(2), q(2), tables(&[5, 6])], "its greatest entry first");
    refused("attend", scale(1, 0), vec![q(2), q(2), q(2), q(2)], "input 3 has elements i8");
    let mask = value(Element::U8, &[1, 3], &[0; 3]);
    refused("attend", scale(1, 0), vec![q(2), q(2), q(2), table(), mask], "broadcasts to [rows, 2, 2]");
    let deep = || value(Element::I16, &[1, 1, 2], &[0; 2]);
    refused("attend", scale(1, 0), vec![deep(), deep(), deep(), table()], "outside of the accumulator's 2^30");
}
