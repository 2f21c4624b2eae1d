//! Kernels of programs against the operators' meanings, and programs through the front door of tensor models.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use engine::{Level, LoadError, Model, Options, RunError, program_kernels};
use graph::program::{
    Array, Attribute, Body, Element, Limits, Meaning, Node, Operator, Port, Program, Size, Source, Type, Value,
    meaning, ops::find,
};
use proptest::prelude::*;
use protocol::{Bytes, List, Tensor, Text};

/// Numbers from -1 to 1 that look irregular.
fn noise(shape: &[usize], seed: u32) -> Array {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    Array::f32s(shape, (0..shape.iter().product()).map(|_| next()).collect()).unwrap()
}

fn port(name: &str, array: &Array) -> Port {
    let shape = array.shape().iter().map(|_| Size::Free("n".to_owned())).collect();
    Port { name: name.to_owned(), kind: Type::Tensor { element: array.element(), shape: Some(shape) } }
}

/// One node over these inputs.
fn one_node(name: &str, version: u16, attributes: &[(&str, Attribute)], inputs: &[Array]) -> Program {
    let count = inputs.len() as u32;
    let attributes: BTreeMap<String, Attribute> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let node = Node {
        name: "it".to_owned(),
        operator: find("", name).unwrap(),
        version,
        attributes,
        inputs: (0..count).map(Source::Slot).collect(),
        outputs: vec![Some(count)],
        derived: Default::default(),
    };
    let body = Body::new((0..count).collect(), vec![node], vec![Source::Slot(count)]);
    let ports = inputs.iter().enumerate().map(|(index, array)| port(&format!("x{index}"), array)).collect();
    let outputs = vec![port("y", &inputs[0])];
    Program { inputs: ports, outputs, constants: Vec::new(), body, slots: count + 1 }.released()
}

fn wire(name: &str, array: &Array) -> Tensor {
    let shape = List::new(array.shape().iter().map(|&size| size as u64).collect::<Vec<u64>>()).unwrap();
    let (name, data) = (Text::new(name).unwrap(), Bytes::new(array.to_bytes()).unwrap());
    Tensor { name, element: protocol::Element::F32, shape, data }
}

fn artefact(program: &Program) -> Vec<u8> {
    graph::Model::of_program("one", 0, program.clone()).to_artefact()
}

/// Every level gives the bits of the meaning.
fn check(program: &Program, inputs: &[Array]) {
    let values = inputs.iter().cloned().map(Value::from).collect();
    let meant = program.run(values, Limits::default()).unwrap();
    let tensors: Vec<Tensor> = program.inputs.iter().zip(inputs).map(|(port, array)| wire(&port.name, array)).collect();
    let file = artefact(program);
    for (level, threads) in Level::available().into_iter().map(|level| (level, 1)).chain([(Level::detect(), 3)]) {
        let model = Model::load_with(file.clone(), Options { threads, level }).unwrap();
        assert_eq!(model.threads(), threads);
        let outputs = model.as_tensor().unwrap().run(&tensors).unwrap();
        assert_eq!(outputs[0].data[..], meant[0].as_tensor().unwrap().to_bytes()[..], "{}", level.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn products_of_matrices_have_the_meaning_s_bits(
        batch in 1_usize..3, rows in 0_usize..12, inner in 0_usize..40, columns in 0_usize..80, seed: u32,
    ) {
        let inputs = [noise(&[batch, rows, inner], seed), noise(&[1, inner, columns], seed ^ 1)];
        check(&one_node("MatMul", 13, &[], &inputs), &inputs);
        let inputs = [noise(&[inner, rows], seed), noise(&[columns, inner], seed ^ 2), noise(&[1, columns], seed ^ 3)];
        let attributes = [
            ("alpha", Attribute::Float(0.7)),
            ("beta", Attribute::Float(1.5)),
            ("transA", Attribute::Integer(1)),
            ("transB", Attribute::Integer(1)),
        ];
        check(&one_node("Gemm", 13, &attributes, &inputs), &inputs);
    }

    #[test]
    fn convolutions_have_the_meaning_s_bits(
        groups in 1_usize..3, channels in 1_usize..4, outputs in 1_usize..6, height in 1_usize..12, width in 1_usize..12,
        kernel in 1_i64..4, stride in 1_i64..3, dilation in 1_i64..3, pad in 0_i64..3, seed: u32,
    ) {
        let size = kernel as usize;
        let inputs = [
            noise(&[2, groups * channels, height, width], seed),
            noise(&[groups * outputs, channels, size, size], seed ^ 1),
            noise(&[groups * outputs], seed ^ 2),
        ];
        let attributes = [
            ("group", Attribute::Integer(groups as i64)),
            ("strides", Attribute::Integers(vec![stride; 2])),
            ("dilations", Attribute::Integers(vec![dilation; 2])),
            ("pads", Attribute::Integers(vec![pad; 4])),
        ];
        check(&one_node("Conv", 11, &attributes, &inputs), &inputs);
    }
}

fn integers(values: &[i64]) -> Attribute {
    Attribute::Integers(values.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn convolutions_of_few_windows_and_along_lines_have_the_meaning_s_bits(
        channels in 1_usize..5, outputs in 15_usize..40, width in 1_usize..70, kernel in 1_usize..6, stride in 1_i64..4,
        dilation in 1_i64..3, before in 0_i64..4, after in 0_i64..4, seed: u32,
    ) {
        let inputs = [noise(&[2, channels, width], seed), noise(&[outputs, channels, kernel], seed ^ 1)];
        let attributes = [
            ("strides", integers(&[stride])),
            ("dilations", integers(&[dilation])),
            ("pads", integers(&[before, after])),
        ];
        check(&one_node("Conv", 11, &attributes, &inputs), &inputs);
    }

    #[test]
    fn transposed_convolutions_have_the_meaning_s_bits(
        groups in 1_usize..3, channels in 1_usize..4, outputs in 1_usize..4, height in 1_usize..7, width in 1_usize..9,
        kernel in 1_usize..5, stride in 1_i64..4, dilation in 1_i64..3, pad in 0_i64..2, seed: u32,
    ) {
        let inputs = [
            noise(&[2, groups * channels, height, width], seed),
            noise(&[groups * channels, outputs, kernel, kernel], seed ^ 1),
            noise(&[groups * outputs], seed ^ 2),
        ];
        let attributes = [
            ("group", Attribute::Integer(groups as i64)),
            ("strides", integers(&[stride; 2])),
            ("dilations", integers(&[dilation; 2])),
            ("pads", integers(&[pad; 4])),
        ];
        check(&one_node("ConvTranspose", 11, &attributes, &inputs), &inputs);
    }

    #[test]
    fn poolings_have_the_meaning_s_bits(
        height in 3_usize..12, width in 3_usize..40, kernel in 1_i64..4, stride in 1_i64..4, pad in 0_i64..2,
        ceil in 0_i64..2, counted in 0_i64..2, seed: u32,
    ) {
        let x = [noise(&[2, 3, height, width], seed)];
        let pad = pad.min(kernel - 1);
        let mut attributes = vec![
            ("kernel_shape", integers(&[kernel; 2])),
            ("strides", integers(&[stride; 2])),
            ("pads", integers(&[pad; 4])),
            ("ceil_mode", Attribute::Integer(ceil)),
        ];
        check(&one_node("MaxPool", 12, &attributes, &x), &x);
        attributes.push(("count_include_pad", Attribute::Integer(counted)));
        check(&one_node("AveragePool", 19, &attributes, &x), &x);
        check(&one_node("GlobalAveragePool", 1, &[], &x), &x);
        for axes in [vec![2, 3], vec![3], vec![1], vec![-1, 1, 2]] {
            check(&one_node("ReduceMean", 13, &[("axes", integers(&axes))], &x), &x);
        }
    }

    #[test]
    fn arithmetic_of_any_broadcast_has_the_meaning_s_bits(
        sizes in prop::collection::vec(0_usize..4, 0..5), ones in 0_u32..1024, drop in 0_usize..3, seed: u32,
    ) {
        let side = |bits: u32| -> Vec<usize> {
            sizes.iter().enumerate().map(|(axis, &size)| if bits >> axis & 1 == 1 { 1 } else { size }).collect()
        };
        let (one, other) = (side(ones), side(ones >> 5));
        let other = other[drop.min(other.len())..].to_vec();
        let inputs = [noise(&one, seed), noise(&other, seed ^ 1)];
        for name in ["Add", "Sub", "Mul", "Div"] {
            check(&one_node(name, 14, &[], &inputs), &inputs);
        }
    }

    #[test]
    fn functions_have_the_meaning_s_bits(bits in prop::collection::vec(any::<u32>(), 40), scale in 0_u32..3) {
        // All floats there are, and those near the places at which functions change.
        let near = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 88.7228, 88.73, -87.0, -103.97, 88.0, 3.0, -3.0];
        let scaled = |bits: u32| (bits as f32 / 2.0_f32.powi(31) - 1.0) * [1.0, 10.0, 100.0][scale as usize];
        let values: Vec<f32> = bits.iter().flat_map(|&bits| [f32::from_bits(bits), scaled(bits)]).chain(near).collect();
        let x = [Array::f32s(&[2, values.len() / 2], values).unwrap()];
        for name in ["Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh", "Softmax"] {
            let newest = *find("", name).unwrap().versions.last().unwrap();
            check(&one_node(name, newest, &[], &x), &x);
        }
        for power in [2.0, 0.5, 3.0] {
            let inputs = [x[0].clone(), Array::f32s(&[1], vec![power]).unwrap()];
            check(&one_node("Pow", 15, &[], &inputs), &inputs);
        }
        let finite: Vec<f32> = bits.iter().map(|&bits| scaled(bits)).collect();
        let x = [Array::f32s(&[4, 10], finite).unwrap()];
        check(&one_node("Softmax", 13, &[("axis", Attribute::Integer(-1))], &x), &x);
        check(&one_node("Softmax", 13, &[("axis", Attribute::Integer(0))], &x), &x);
    }

    #[test]
    fn recurrent_cells_have_the_meaning_s_bits(
        steps in 1_usize..4, batch in 1_usize..3, size in 1_usize..12, hidden in 1_usize..20, both: bool, variant in 0_i64..2, seed: u32,
    ) {
        let directions = if both { 2 } else { 1 };
        let direction = ("direction", Attribute::Text(if both { "bidirectional" } else { "reverse" }.to_owned()));
        for (name, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
            let inputs = [
                noise(&[steps, batch, size], seed),
                noise(&[directions, gates * hidden, size], seed ^ 1),
                noise(&[directions, gates * hidden, hidden], seed ^ 2),
                noise(&[directions, 2 * gates * hidden], seed ^ 3),
            ];
            let mut attributes = vec![direction.clone()];
            if name == "GRU" {
                attributes.push(("linear_before_reset", Attribute::Integer(variant)));
            }
            check(&one_node(name, 14, &attributes, &inputs), &inputs);
        }
    }

    #[test]
    fn normalised_batches_have_the_meaning_s_bits(channels in 1_usize..5, width in 0_usize..9, seed: u32) {
        let positive = noise(&[channels], seed ^ 4).floats().unwrap().iter().map(|x| x.abs() + 0.1).collect();
        let inputs = [
            noise(&[2, channels, width], seed),
            noise(&[channels], seed ^ 1),
            noise(&[channels], seed ^ 2),
            noise(&[channels], seed ^ 3),
            Array::f32s(&[channels], positive).unwrap(),
        ];
        check(&one_node("BatchNormalization", 15, &[], &inputs), &inputs);
    }
}

#[test]
fn operands_of_older_operator_sets_stand_where_their_node_says_on_every_level() {
    let x = noise(&[2, 3, 4, 5], 1);
    let channel = noise(&[3], 2);
    let sizes = |shape: &[usize]| channel.reshaped(shape).unwrap();
    let attributes = [("broadcast", Attribute::Integer(1)), ("axis", Attribute::Integer(1))];
    let run = |name, version, attributes: &[(&str, Attribute)], inputs: &[Array]| {
        let program = one_node(name, version, attributes, inputs);
        check(&program, inputs);
        program.run(inputs.iter().cloned().map(Value::from).collect(), Limits::default()).unwrap()
    };
    for name in ["Add", "Sub", "Mul", "Div"] {
        let older = run(name, 6, &attributes, &[x.clone(), channel.clone()]);
        assert_eq!(older, run(name, 7, &[], &[x.clone(), sizes(&[3, 1, 1])]), "{name}");
    }
    let older = run("PRelu", 6, &[], &[x.clone(), channel.clone()]);
    assert_eq!(older, run("PRelu", 7, &[], &[x.clone(), sizes(&[3, 1, 1])]));
    let refused = one_node("Add", 6, &[], &[x.clone(), channel.clone()]);
    let refused = refused.run(vec![x.into(), channel.clone().into()], Limits::default()).unwrap_err();
    assert!(refused.to_string().contains("since broadcast is 0"), "{refused}");
}

#[test]
fn rows_of_maps_come_back_as_a_table_and_its_keys() {
    let x = noise(&[3, 2], 9);
    let words = vec!["no".into(), "yes".into()];
    let mut program = one_node("Relu", 14, &[], std::slice::from_ref(&x));
    let node = &mut program.body.nodes[0];
    (node.operator, node.version) = (find("ai.onnx.ml", "ZipMap").unwrap(), 1);
    node.attributes.insert("classlabels_strings".to_owned(), Attribute::Texts(words));
    let value = Box::new(Type::Tensor { element: Element::F32, shape: None });
    program.outputs[0].kind = Type::Sequence(Box::new(Type::Map { key: Element::Text, value }));
    let model = Model::load(artefact(&program)).unwrap();
    let outputs = model.as_tensor().unwrap().run(&[wire("x0", &x)]).unwrap();
    assert_eq!((&outputs[0].data[..], &outputs[0].shape[..]), (&x.to_bytes()[..], &[3, 2][..]));
    assert_eq!((&*outputs[1].name, outputs[1].element), ("y.keys", protocol::Element::Text));
    assert_eq!(outputs[1].data[..], *b"\x02\0\0\0no\x03\0\0\0yes");
}

#[test]
fn wrong_inputs_of_a_program_are_refused_by_name() {
    let x = noise(&[2, 3], 1);
    let program = one_node("Relu", 14, &[], std::slice::from_ref(&x));
    let model = Model::load(artefact(&program)).unwrap();
    assert_eq!(model.card().kind, "ordered");
    let tensors = model.as_tensor().unwrap();
    assert_eq!(tensors.inputs()[0].shape, [None, None]);
    assert!(tensors.run(&[wire("x0", &x)]).is_ok());
    assert!(matches!(tensors.run(&[wire("z", &x)]), Err(RunError::UnknownInput { .. })));
    assert!(matches!(tensors.run(&[]), Err(RunError::MissingInput { .. })));
    let mut short = wire("x0", &x);
    short.data = Bytes::new(vec![0; 5]).unwrap();
    assert!(matches!(tensors.run(&[short]), Err(RunError::DataLength { expected: 24, found: 5, .. })));
    let mut other = wire("x0", &x);
    other.element = protocol::Element::I32;
    assert!(matches!(tensors.run(&[other]), Err(RunError::Element { .. })));
    assert!(matches!(tensors.run(&[wire("x0", &noise(&[6], 1))]), Err(RunError::Program(_))));
}

#[test]
fn a_program_that_nobody_waits_for_any_more_ends_behind_the_node_that_runs() {
    let x = noise(&[2, 3], 1);
    let mut program = one_node("Relu", 14, &[], std::slice::from_ref(&x));
    let (mut second, last) = (program.body.nodes[0].clone(), program.slots);
    second.inputs = vec![Source::Slot(program.body.nodes[0].outputs[0].unwrap())];
    second.outputs = vec![Some(last)];
    let nodes = vec![program.body.nodes[0].clone(), second];
    program.body = Body::new(program.body.inputs.clone(), nodes, vec![Source::Slot(last)]);
    program.slots += 1;
    let model = Model::load(artefact(&program)).unwrap();
    let tensors = model.as_tensor().unwrap();
    let ran_while = |nodes: usize| {
        let asked = AtomicUsize::new(0);
        let stays = || asked.fetch_add(1, Ordering::Relaxed) < nodes;
        (tensors.run_while(&[wire("x0", &x)], &stays), asked.into_inner())
    };
    assert_eq!(ran_while(9).0.unwrap(), tensors.run(&[wire("x0", &x)]).unwrap());
    let (ended, asked) = ran_while(0);
    assert_eq!((ended, asked), (Err(RunError::Interrupted), 1), "behind the first node");
}

#[test]
fn a_huge_node_ends_soon_after_its_reader_left_and_its_threads_are_free() {
    let product = [noise(&[640, 256], 1), noise(&[256, 1024], 2)];
    let image = [noise(&[1, 64, 50, 50], 3), noise(&[256, 64, 3, 3], 4)];
    let pool = [noise(&[1, 2, 65_536], 7)];
    let window = [("kernel_shape", integers(&[3_000]))];
    let huge = [
        with_constants(one_node("MatMul", 13, &[], &product), &product),
        with_constants(one_node("Conv", 11, &[], &image), &image),
        one_node("MaxPool", 12, &window, &pool),
    ];
    for (program, x) in huge.iter().zip([&product[0], &image[0], &pool[0]]) {
        for threads in [1, 2] {
            let model = Model::load_with(artefact(program), Options { threads, level: Level::detect() }).unwrap();
            let (begun, asked) = (Instant::now(), AtomicUsize::new(0));
            // The reader leaves within the one node that there is: were it asked between nodes alone, it would stay.
            let stays = || asked.fetch_add(1, Ordering::Relaxed) < 2;
            let ended = model.as_tensor().unwrap().run_while(&[wire("x0", x)], &stays);
            let (operator, took) = (program.body.nodes[0].operator.name, begun.elapsed());
            assert_eq!(ended, Err(RunError::Interrupted), "{operator}");
            assert!(took < Duration::from_secs(2), "{operator} went on for {took:?}");
            // Whoever left before leaves the threads to others.
            let gone = model.as_tensor().unwrap().run_while(&[wire("x0", x)], &|| false);
            assert_eq!(gone, Err(RunError::Interrupted), "{operator}");
        }
    }
}

#[test]
fn ports_that_requests_cannot_carry_are_refused_at_load() {
    let mut program = one_node("Relu", 14, &[], &[noise(&[1], 1)]);
    program.inputs[0].kind = Type::Tensor { element: Element::C64, shape: None };
    let load = |program: &Program| Model::load(artefact(program)).err();
    assert!(matches!(load(&program), Some(LoadError::Port { element: "complex64", .. })));
    program.inputs[0].kind = Type::Sequence(Box::new(Type::Tensor { element: Element::F32, shape: None }));
    assert!(matches!(load(&program), Some(LoadError::Port { element: "that are no tensor", .. })));
}

#[test]
fn a_program_that_asks_for_too_much_is_refused_before_it_gets_it() {
    let mut program = one_node("Relu", 14, &[], &[noise(&[1], 1)]);
    program.body.nodes[0].operator = find("", "ConstantOfShape").unwrap();
    program.body.nodes[0].version = 9;
    program.inputs[0].kind = Type::Tensor { element: Element::I64, shape: None };
    let model = Model::load(artefact(&program)).unwrap();
    let mut shape = wire("x0", &noise(&[2], 1));
    shape.element = protocol::Element::I64;
    shape.data =
        Bytes::new([1_u64 << 40, 1 << 20].iter().flat_map(|size| size.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    shape.shape = List::new(vec![2]).unwrap();
    let refused = model.as_tensor().unwrap().run(&[shape]).err().unwrap().to_string();
    assert!(refused.contains("bytes of values would live at once") && refused.contains("\"it\""), "{refused}");
}

#[test]
fn a_program_may_do_as_much_as_can_be_judged() {
    let program = one_node("Relu", 14, &[], &[noise(&[100], 1)]);
    let input = [wire("x0", &noise(&[100], 1))];
    // A node and its hundred elements, 64 units of work each.
    for (work_max, limit) in [(64 * 356, None), (64 * 356 - 1, Some(355))] {
        let model = Model::load(artefact(&program)).unwrap().within(work_max);
        assert_eq!(model.work().of(9), work_max);
        let said = model.as_tensor().unwrap().run(&input).err().map(|error| error.to_string());
        match limit {
            None => assert_eq!(said, None),
            Some(limit) => assert!(said.unwrap().contains(&format!("{limit} operations"))),
        }
    }
}

/// The fewest operations with which a program runs.
fn account(program: &Program, inputs: &[Array], pick: fn(&'static Operator) -> Meaning) -> u64 {
    let runs = |operations: u64| {
        let values = inputs.iter().cloned().map(Value::from).collect();
        program.run_with(values, Limits { operations, ..Limits::default() }, pick, None).is_ok()
    };
    let (mut low, mut high) = (0, 1 << 24);
    assert!(runs(high));
    while low + 1 < high {
        let middle = (low + high) / 2;
        if runs(middle) { high = middle } else { low = middle }
    }
    high
}

/// The rules of networks hang on these: another price is another version of the arithmetic.
#[test]
fn a_product_takes_the_same_of_the_account_by_its_kernels_and_by_its_meaning() {
    let half = |shape: &[usize]| Array::zeros(Element::F16, shape).unwrap();
    let pads = |pads: &[i64]| vec![("pads", integers(pads))];
    let image = noise(&[1, 4, 20, 20], 1);
    let cases = [
        ("MatMul", 13, vec![], vec![noise(&[2, 5, 40], 1), noise(&[2, 40, 70], 2)], 14_188),
        ("MatMul", 13, vec![], vec![half(&[5, 40]), half(&[40, 70])], 14_606),
        ("Gemm", 13, vec![], vec![noise(&[5, 40], 1), noise(&[40, 70], 2)], 7_572),
        // Laid out; with a bias that no kernel takes; so few windows that they are rows; three axes.
        ("Conv", 11, pads(&[1; 4]), vec![image.clone(), noise(&[8, 4, 3, 3], 2)], 48_152),
        ("Conv", 11, pads(&[1; 4]), vec![image, noise(&[8, 4, 3, 3], 2), half(&[8])], 122_256),
        ("Conv", 11, vec![], vec![noise(&[1, 4, 5, 5], 1), noise(&[16, 4, 3, 3], 2)], 5_665),
        ("Conv", 11, vec![], vec![noise(&[1, 2, 5, 5, 5], 1), noise(&[3, 2, 3, 3, 3], 2)], 5_440),
    ];
    for (name, version, attributes, inputs, expected) in cases {
        let program = one_node(name, version, &attributes, &inputs);
        assert_eq!(account(&program, &inputs, meaning), expected, "{name} of {:?}", inputs[1].shape());
        for level in Level::available() {
            let found = account(&program, &inputs, program_kernels(level));
            assert_eq!(found, expected, "{name} of {:?}, {}", inputs[1].shape(), level.name());
        }
    }
}

#[test]
fn an_image_of_bytes_enters_a_program_that_makes_floats_of_it() {
    let pixels = Array::wholes(Element::U8, &[1, 3, 512, 512], std::iter::repeat_n(200, 3 * 512 * 512)).unwrap();
    let mut program = one_node("Cast", 13, &[("to", Attribute::Integer(1))], std::slice::from_ref(&pixels));
    let mut means = program.body.nodes[0].clone();
    (means.operator, means.version) = (find("", "GlobalAveragePool").unwrap(), 1);
    (means.inputs, means.outputs) = (vec![Source::Slot(1)], vec![Some(2)]);
    means.attributes.clear();
    let nodes = vec![program.body.nodes[0].clone(), means];
    program.body = Body::new(vec![0], nodes, vec![Source::Slot(2)]);
    (program.slots, program.outputs[0]) = (3, port("y", &noise(&[1, 3, 1, 1], 1)));
    let model = Model::load(artefact(&program.released())).unwrap();
    let sent = Tensor { element: protocol::Element::U8, ..wire("x0", &pixels) };
    let outputs = model.as_tensor().unwrap().run(&[sent]).unwrap();
    assert_eq!(
        (outputs[0].element, &outputs[0].data[..]),
        (protocol::Element::F32, &200.0_f32.to_le_bytes().repeat(3)[..])
    );
}

/// Like `check`, for inputs of any element; twice, since kernels keep what they make of constants.
fn check_values(program: &Program, inputs: &[Array]) {
    let values = || inputs.iter().cloned().map(Value::from).collect::<Vec<Value>>();
    let meant = program.run(values(), Limits::default()).unwrap();
    let file = artefact(program);
    for level in Level::available() {
        let model = Model::load_with(file.clone(), Options { threads: 1, level }).unwrap();
        for _ in 0..2 {
            let found = model.as_tensor().unwrap().run_values(values(), None).unwrap().unwrap();
            let bytes = |values: &[Value]| values[0].as_tensor().unwrap().to_bytes();
            assert_eq!(bytes(&found), bytes(&meant), "{}", level.name());
        }
    }
}

/// The node with all its inputs but the first as constants of the program.
fn with_constants(mut program: Program, inputs: &[Array]) -> Program {
    program.constants = inputs[1..].iter().cloned().map(std::sync::Arc::new).collect();
    program.inputs.truncate(1);
    let node = &mut program.body.nodes[0];
    node.inputs =
        [Source::Slot(0)].into_iter().chain((1..inputs.len() as u32).map(|at| Source::Constant(at - 1))).collect();
    node.outputs = vec![Some(1)];
    let nodes = program.body.nodes.clone();
    Program { body: Body::new(vec![0], nodes, vec![Source::Slot(1)]), slots: 2, ..program }.released()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn recurrent_cells_of_constant_weights_have_the_meaning_s_bits_again_and_again(
        steps in 1_usize..4, size in 1_usize..9, hidden in 1_usize..90, variant in 0_i64..2, seed: u32,
    ) {
        for (name, gates, flag) in [("LSTM", 4, Some("input_forget")), ("GRU", 3, Some("linear_before_reset")), ("RNN", 1, None)] {
            let inputs = [
                noise(&[steps, 2, size], seed),
                noise(&[1, gates * hidden, size], seed ^ 1),
                noise(&[1, gates * hidden, hidden], seed ^ 2),
                noise(&[1, 2 * gates * hidden], seed ^ 3),
            ];
            let attributes: Vec<(&str, Attribute)> = flag.map(|flag| (flag, Attribute::Integer(variant))).into_iter().collect();
            let program = with_constants(one_node(name, 14, &attributes, &inputs), &inputs);
            check_values(&program, &inputs[..1]);
        }
    }

    #[test]
    fn quantisation_and_its_way_back_have_the_meaning_s_bits(
        bits in prop::collection::vec(any::<u32>(), 48), zeros in prop::collection::vec(any::<u8>(), 4), scale in 0_u32..3, axis in 0_usize..4,
    ) {
        let near = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 127.5, -128.5, 1e30, -1e30];
        let scaled = |bits: u32| (bits as f32 / 2.0_f32.powi(31) - 1.0) * [1.0, 100.0, 300.0][scale as usize];
        let values: Vec<f32> = bits[..40].iter().map(|&bits| scaled(bits)).chain(near).collect();
        let x = Array::f32s(&[3, 4, 4], values).unwrap();
        // One scale for all, or one for each place of an axis.
        let (count, axis) = match axis { 0 => (1, 1), 3 => (4, -1), axis => (4, if axis == 1 { 1 } else { 2 }) };
        let scales: Vec<f32> = (0..count).map(|at| [0.5, 1.0, 0.031, 0.0][(at + scale as usize) % 4]).collect();
        let shape: Vec<usize> = if count == 1 { vec![] } else { vec![count] };
        let scales = Array::f32s(&shape, scales).unwrap();
        let attributes = [("axis", Attribute::Integer(axis))];
        for element in [Element::U8, Element::I8] {
            let own = |byte: u8| if element == Element::U8 { i128::from(byte) } else { i128::from(byte.cast_signed()) };
            let zero = Array::wholes(element, &shape, zeros[..count].iter().map(|&zero| own(zero))).unwrap();
            let inputs = [x.clone(), scales.clone(), zero.clone()];
            check_values(&one_node("QuantizeLinear", 13, &attributes, &inputs), &inputs);
            let bytes = bits.iter().map(|&bits| own(bits as u8));
            let inputs = [Array::wholes(element, &[3, 4, 4], bytes).unwrap(), scales.clone(), zero];
            check_values(&one_node("DequantizeLinear", 13, &attributes, &inputs), &inputs);
        }
        let wide = Array::wholes(Element::I32, &[3, 4, 4], bits.iter().map(|&bits| i128::from(bits.cast_signed()))).unwrap();
        let inputs = [wide, scales];
        check_values(&one_node("DequantizeLinear", 13, &attributes, &inputs), &inputs);
    }
}
