//! Facts about the operators that decoders beyond Llama need: what they compute, to the bit, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    Attributes, Data, Element, Format, Graph, GraphRefusal, Input, Interval, Output, Packed, Shape, Source, Tensor,
    evaluate, ops,
};

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::new(shape, Data::F32(values.to_vec())).unwrap()
}

/// What a node is given: a value of the caller, or a constant.
enum Given {
    Value(Tensor, Interval),
    Constant(Tensor),
}

fn value(shape: &[usize], values: &[f32]) -> Given {
    Given::Value(floats(shape, values), Interval::of(Element::F32))
}

fn choice(shape: &[usize], values: &[i32], experts: i64) -> Given {
    Given::Value(Tensor::of(shape, Data::I32(values.to_vec())), Interval { low: 0, high: experts - 1 })
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
    Ok(evaluate(&graph.check(8)?, &inputs).unwrap().remove(0))
}

fn refused(name: &str, attributes: Attributes, given: Vec<Given>, said: &str) {
    let refusal = run(name, attributes, given).unwrap_err().to_string();
    assert!(refusal.contains(said), "{refusal} lacks {said:?}");
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.floats().unwrap().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn curves_give_their_frozen_bits() {
    let x = || value(&[1, 6], &[-100.0, -1.5, -0.125, 0.0, 0.7, 90.0]);
    let gelu = run("gelu_tanh_f32", Attributes::new(), vec![x()]).unwrap();
    assert_eq!(bits(&gelu), GELU, "{:#010x?}", bits(&gelu));
    let cap = run("softcap_f32", Attributes::new().with("cap", 30.0_f32), vec![x()]).unwrap();
    assert_eq!(bits(&cap), SOFTCAP, "{:#010x?}", bits(&cap));
    for cap in [0.0_f32, -1.0, f32::INFINITY] {
        refused("softcap_f32", Attributes::new().with("cap", cap), vec![x()], "cap");
    }
}

const GELU: [u32; 6] = [0x0000_0000, 0xbdcd_ad6c, 0xbd66_88cb, 0x0000_0000, 0x3f07_d372, 0x42b4_0000];
const SOFTCAP: [u32; 6] = [0xc1ef_63d1, 0xbfbf_d715, 0xbdff_ff9f, 0x0000_0000, 0x3f33_2ae0, 0x41ee_d02a];

fn attention(attributes: Attributes) -> Attributes {
    attributes.with("heads", 1).with("kv_heads", 1)
}

#[test]
fn a_window_hides_what_lies_further_back() {
    let given = || {
        let q = value(&[4, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, -1.0]);
        let k = value(&[4, 2], &[1.0, 2.0, -1.0, 0.5, 0.0, 3.0, 1.0, 1.0]);
        vec![q, k, value(&[4, 1], &[1.0, 10.0, 100.0, 1000.0])]
    };
    let alone = run("attention_f32", attention(Attributes::new().with("window", 1)), given()).unwrap();
    assert_eq!(alone, floats(&[4, 1], &[1.0, 10.0, 100.0, 1000.0]));
    let wide = run("attention_f32", attention(Attributes::new().with("window", 4)), given()).unwrap();
    assert_eq!(wide, run("attention_f32", attention(Attributes::new()), given()).unwrap());
    let two = run("attention_f32", attention(Attributes::new().with("window", 2)), given()).unwrap();
    assert!(two.floats().unwrap()[3] > 100.0 && two.floats().unwrap()[0] == 1.0, "{two:?}");
    let scale = 1.0 / 2.0_f32.sqrt();
    let scaled = run("attention_f32", attention(Attributes::new().with("scale", scale)), given()).unwrap();
    assert_eq!(scaled, wide);
    let flat = attention(Attributes::new().with("softcap", 1e-3_f32));
    let flat = run("attention_f32", flat, given()).unwrap();
    assert!((flat.floats().unwrap()[3] - 277.75).abs() < 1.0, "{flat:?}");
    for (name, refusal) in [("window", "window"), ("scale", "scale"), ("softcap", "softcap")] {
        let attributes = attention(Attributes::new());
        let bad = if name == "window" { attributes.with(name, 0) } else { attributes.with(name, 0.0_f32) };
        refused("attention_f32", bad, given(), refusal);
    }
    let mut odd = given();
    odd[2] = value(&[4, 3], &[0.0; 12]);
    let attributes = Attributes::new().with("heads", 2).with("kv_heads", 2);
    odd[0] = value(&[4, 4], &[0.0; 16]);
    odd[1] = value(&[4, 4], &[0.0; 16]);
    refused("attention_f32", attributes, odd, "multiple of 2 heads");
}

#[test]
fn attention_over_bytes_is_worked_out_by_hand() {
    // A head's row [2, -1] has the scale 2/127 and the bytes 127 and -64 (63.5, to even).
    let q = || value(&[2, 2], &[2.0, -1.0, 0.0, 0.0]);
    let given = || vec![q(), value(&[2, 2], &[1.0, 1.0, 2.0, -1.0]), value(&[2, 1], &[3.0, -5.0])];
    let alone = attention(Attributes::new().with("window", 1));
    let alone = run("attention_q8_f32", alone, given()).unwrap();
    // One weight of 1 and its sum: the byte is 127, so each value comes back but for the rounding of its scale.
    let back = |value: f32| (value.abs() / 127.0).mul_add(127.0_f32.copysign(value), 0.0);
    assert_eq!(alone, floats(&[2, 1], &[back(3.0), back(-5.0)]));
    // A query of zeros weighs all alike.
    let both = run("attention_q8_f32", attention(Attributes::new()), given()).unwrap();
    let mean = (1.0 * (5.0 / 127.0_f32)).mul_add(-127.0, (1.0 * (3.0 / 127.0_f32)).mul_add(127.0, 0.0)) * 0.5;
    assert_eq!(both.floats().unwrap()[1].to_bits(), mean.to_bits());
    // Scores: 127·127 + 64·64 against 127·127 - 64·127, times the scales.
    let capped = attention(Attributes::new().with("scale", 1.0_f32).with("softcap", 30.0_f32));
    let mut turned = given();
    turned[0] = value(&[2, 2], &[0.0, 0.0, 2.0, -1.0]);
    let found = run("attention_q8_f32", capped, turned).unwrap().floats().unwrap()[1];
    let score = |dot: f32, key: f32| ops::softcap_f32::softcap(dot * (2.0 / 127.0 * (key / 127.0)), 30.0);
    let scores = [score(127.0 * 127.0 - 64.0 * 127.0, 1.0), score(127.0 * 127.0 + 64.0 * 64.0, 2.0)];
    let weights = scores.map(|score| graph::float::exp(score - scores[1]));
    let sum = (weights[1] * (5.0 / 127.0)).mul_add(-127.0, (weights[0] * (3.0 / 127.0)).mul_add(127.0, 0.0));
    assert_eq!(found.to_bits(), (sum * (1.0 / (weights[0] + weights[1]))).to_bits());
    let wide = Attributes::new().with("heads", 1).with("kv_heads", 1);
    let row = vec![0.0; ops::attention_q8_f32::HEAD_MAX + 1];
    let too_wide = vec![value(&[1, row.len()], &row), value(&[1, row.len()], &row), value(&[1, 1], &[0.0])];
    refused("attention_q8_f32", wide, too_wide, "at most 65536 columns");
    refused("attention_q8_f32", attention(Attributes::new().with("softcap", 0.0_f32)), given(), "softcap");
}

#[test]
fn the_greatest_experts_are_chosen_and_the_lowest_index_wins_ties() {
    let choose = |attributes: Attributes, scores: &[f32], bias: Option<&[f32]>| {
        let mut given = vec![value(&[1, scores.len()], scores)];
        given.extend(bias.map(|bias| Given::Constant(floats(&[bias.len()], bias))));
        run("choose_experts_f32", attributes, given).unwrap().integers().unwrap()
    };
    let count = |count: i64| Attributes::new().with("count", count);
    assert_eq!(choose(count(3), &[1.0, 5.0, 5.0, -1.0, 5.0], None), [1, 2, 4]);
    assert_eq!(choose(count(5), &[0.0, -0.0, 2.0, -3.0, 1.0], None), [2, 4, 0, 1, 3]);
    assert_eq!(choose(count(2), &[1.0, 2.0, 3.0], Some(&[9.0, 0.0, 0.0])), [0, 2]);
    let scores = [9.0, 0.0, 5.0, 6.0, 1.0, 9.5, 5.0, 5.5];
    let groups = |best: i64| count(2).with("groups", 4).with("kept", 2).with("best", best);
    assert_eq!(choose(groups(1), &scores, None), [5, 0]);
    assert_eq!(choose(groups(2), &scores, None), [5, 3]);
    let scores = || value(&[1, 4], &[0.0; 4]);
    refused("choose_experts_f32", count(5), vec![scores()], "count");
    refused("choose_experts_f32", count(1).with("groups", 3), vec![scores()], "groups");
    refused("choose_experts_f32", count(3).with("groups", 2), vec![scores()], "count");
    refused("choose_experts_f32", count(1).with("best", 9), vec![scores()], "best");
    refused("choose_experts_f32", count(1).with("groups", 2).with("kept", 3), vec![scores()], "kept");
    let wide = value(&[1, 4097], &[0.0; 4097]);
    refused("choose_experts_f32", count(1), vec![wide], "4096 experts");
    let bias = Given::Constant(floats(&[3], &[0.0; 3]));
    refused("choose_experts_f32", count(1), vec![scores(), bias], "shape");
}

#[test]
fn chosen_experts_are_weighed_and_combined_in_the_order_of_the_choice() {
    let scores = || value(&[2, 3], &[1.0, 3.0, 4.0, 8.0, 2.0, 2.0]);
    let weigh = |normalise: i64, scale: f32| Attributes::new().with("normalise", normalise).with("scale", scale);
    let chosen = || choice(&[2, 2], &[2, 0, 0, 1], 3);
    let plain = run("weigh_experts_f32", weigh(0, 2.0), vec![scores(), chosen()]).unwrap();
    assert_eq!(plain, floats(&[2, 2], &[8.0, 2.0, 16.0, 4.0]));
    let shares = run("weigh_experts_f32", weigh(1, 1.0), vec![scores(), chosen()]).unwrap();
    assert_eq!(shares, floats(&[2, 2], &[4.0 / 5.0, 1.0 / 5.0, 0.8, 0.2]));
    refused("weigh_experts_f32", weigh(2, 1.0), vec![scores(), chosen()], "normalise");
    refused("weigh_experts_f32", weigh(1, f32::NAN), vec![scores(), chosen()], "scale");
    refused("weigh_experts_f32", weigh(1, 1.0), vec![scores(), choice(&[2, 2], &[0; 4], 4)], "the rows of the table");
    refused(
        "weigh_experts_f32",
        weigh(1, 1.0),
        vec![scores(), choice(&[2, 1, 2], &[0; 4], 3)],
        "but for the innermost",
    );
    let said = || value(&[2, 2, 2], &[1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0]);
    let weights = || value(&[2, 2], &[0.5, 2.0, 1.0, -1.0]);
    let all = run("combine_experts_f32", Attributes::new(), vec![said(), weights()]).unwrap();
    assert_eq!(all, floats(&[2, 2], &[20.5, 41.0, -27.0, -36.0]));
    refused("combine_experts_f32", Attributes::new(), vec![weights(), said()], "one size behind");
}

/// Numbers that come out even in every format.
fn numbers(count: usize, seed: i32) -> Vec<f32> {
    (0..count as i32).map(|i| ((i * 37 + seed * 11) % 61 - 30) as f32 / 16.0).collect()
}

fn packed(format: Format, shape: &[usize], values: &[f32]) -> Given {
    Given::Constant(Tensor::packed(shape, Packed::of_floats(format, shape, values).unwrap()))
}

#[test]
fn each_slot_passes_the_matrix_of_its_expert_with_the_bits_of_that_matrix_alone() {
    let (experts, outputs, columns) = (3, 5, 32);
    let all = numbers(experts * outputs * columns, 1);
    let cases = [
        ("linear_experts_f32", "linear_f32", Format::F32),
        ("linear_experts_blocks_f32", "linear_blocks_f32", Format::Q8_0),
    ];
    for (name, alone, format) in cases {
        let stack = || packed(format, &[experts, outputs, columns], &all);
        let one = |expert: usize, x: &[f32]| {
            let matrix = packed(format, &[outputs, columns], &all[expert * outputs * columns..][..outputs * columns]);
            bits(&run(alone, Attributes::new(), vec![value(&[1, columns], x), matrix]).unwrap())
        };
        let x = numbers(2 * columns, 5);
        let chosen = || choice(&[2, 2], &[2, 0, 1, 1], 3);
        let shared = run(name, Attributes::new(), vec![value(&[2, columns], &x), stack(), chosen()]).unwrap();
        assert_eq!(shared.shape(), [2, 2, outputs]);
        let expected = [one(2, &x[..32]), one(0, &x[..32]), one(1, &x[32..]), one(1, &x[32..])];
        assert_eq!(bits(&shared), expected.concat(), "{name}");
        let own = numbers(4 * columns, 9);
        let apart = run(name, Attributes::new(), vec![value(&[2, 2, columns], &own), stack(), chosen()]).unwrap();
        let slot = |index: usize, expert: usize| one(expert, &own[index * 32..][..32]);
        assert_eq!(bits(&apart), [slot(0, 2), slot(1, 0), slot(2, 1), slot(3, 1)].concat(), "{name}");
        let own = numbers(3 * columns, 3);
        let each = run(name, Attributes::new(), vec![value(&[1, 3, columns], &own), stack()]).unwrap();
        let slot = |index: usize| one(index, &own[index * 32..][..32]);
        assert_eq!(bits(&each), [slot(0), slot(1), slot(2)].concat(), "{name}");
        let x = || value(&[2, columns], &x);
        let refused = |given, said| refused(name, Attributes::new(), given, said);
        refused(vec![x(), stack()], "a slot for each of 3 matrices");
        refused(vec![x(), stack(), choice(&[2, 2], &[0; 4], 4)], "the rows of the table");
        refused(vec![x(), stack(), choice(&[2, 1, 2], &[0; 4], 3)], "or that with a size behind");
        refused(vec![value(&[2, 31], &numbers(62, 1)), stack(), chosen()], "[experts, outputs, 31]");
        let flat = packed(format, &[outputs, columns], &all[..outputs * columns]);
        refused(vec![x(), flat, chosen()], "[experts, outputs, inputs]");
        let other = if format == Format::F32 { Format::Q8_0 } else { Format::F32 };
        refused(vec![x(), packed(other, &[experts, outputs, columns], &all), chosen()], "elements");
    }
}
