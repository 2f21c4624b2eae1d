//! What an operator says that it takes is never less than what it does: steps are counted here as the specification has them, and
//! every one of them has its price. Models made to be cheap on paper are the cases.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use graph::{
    Attributes, Data, Element, Graph, Input, Interval, Output, Packed, Shape, Source, Tensor, Work,
    ops::{self, linear::Norms},
};

/// Units that a machine does in a nanosecond, if it is as fast as the network counts on.
const NANOSECOND: u64 = 68;

enum Given {
    Value(Element, Vec<usize>),
    Constant(Tensor),
}

fn value(element: Element, sizes: &[usize]) -> Given {
    Given::Value(element, sizes.to_vec())
}

fn whole(shape: &[usize], values: impl IntoIterator<Item = i64>) -> Given {
    Given::Constant(Tensor::of_integers(Element::I32, shape, values).unwrap())
}

fn words(count: usize) -> Given {
    Given::Constant(Tensor::of(&[count], Data::I16(vec![1 << 14; count])))
}

fn weights(shape: &[usize]) -> Given {
    let values = vec![1; shape.iter().product()];
    Given::Constant(Tensor::packed(shape, Packed::of_integers(shape, &values).unwrap()))
}

/// Of a graph of one node, whose values have rows in front; without what every node costs.
fn work(name: &str, attributes: Attributes, given: Vec<Given>) -> Work {
    let mut graph = Graph::default();
    let mut sources = Vec::new();
    for given in given {
        sources.push(match given {
            Given::Constant(tensor) => graph.constant("c", tensor),
            Given::Value(element, sizes) => {
                let interval =
                    if element.is_integer() { Interval { low: 0, high: 1 } } else { Interval { low: 0, high: 0 } };
                graph.inputs.push(Input { name: "x".into(), element, shape: Shape::rows(&sizes), interval });
                Source::Input(graph.inputs.len() - 1)
            }
        });
    }
    let source = graph.node("node", ops::find(name).unwrap(), attributes, &sources);
    graph.outputs.push(Output { name: "y".into(), source });
    let found = graph.check(1 << 10).unwrap().work();
    Work { call: found.call.checked_sub(1 << 16).unwrap(), ..found }
}

fn row(name: &str, attributes: Attributes, given: Vec<Given>) -> u64 {
    work(name, attributes, given).row
}

#[test]
fn a_row_walks_through_every_split_of_the_longest_way_and_every_vote_at_its_end() {
    // A chain of a thousand splits, of which the last leads to a leaf of fifty votes; and that thirty times.
    let (splits, votes, trees) = (1_000_i64, 50, 30);
    let chain = (0..splits).flat_map(|at| [0, 0, if at == splits - 1 { -2 } else { at + 1 }, -1]);
    let given = vec![
        value(Element::I32, &[1]),
        whole(&[splits as usize, 4], chain),
        whole(&[3], [0, 0, votes]),
        whole(&[votes as usize, 2], (0..votes).flat_map(|_| [0, 1])),
        whole(&[trees], vec![0; trees]),
    ];
    let steps = trees as u64 * (splits + votes) as u64;
    let row = row("trees", Attributes::new().with("targets", 1), given);
    assert!((steps * 3 * NANOSECOND..steps * 40 * NANOSECOND).contains(&row), "{row} for {steps} steps");
}

fn windows(kernel: &[i64]) -> Attributes {
    let all = |value: i64| vec![value; kernel.len()];
    let lists = Attributes::new().with("kernel", kernel.to_vec()).with("strides", all(1)).with("dilations", all(1));
    lists.with("pads", [all(0), all(0)].concat())
}

#[test]
fn a_pool_looks_at_every_place_of_every_window() {
    // As many windows as places in each: 2^18 places an output, where an output was said to cost 16.
    let places = 512_u64.pow(2).pow(2);
    for name in ["pool_max", "pool_sum"] {
        let found = row(name, windows(&[512, 512]), vec![value(Element::I8, &[1023, 1023, 1])]);
        assert!(found >= places * 3 * NANOSECOND, "{name}: {found}");
    }
    let planes = row("pool_max", windows(&[8, 8, 8]), vec![value(Element::I8, &[15, 15, 15, 1])]);
    assert!(planes >= 8_u64.pow(6) * 20 * NANOSECOND, "three axes have no kernel: {planes}");
}

#[test]
fn what_is_reduced_costs_each_number_that_comes_in() {
    for (name, element) in [("mean_f32", Element::F32), ("greatest", Element::I32)] {
        let found = row(name, Attributes::new(), vec![value(element, &[1 << 16])]);
        assert!(found >= (1 << 16) * 3 * NANOSECOND, "{name}: {found}");
    }
    for name in ["softmax_f32", "exp_f32", "tanh_f32"] {
        let found = row(name, Attributes::new(), vec![value(Element::F32, &[1 << 16])]);
        assert!(found >= (1 << 16) * 4 * NANOSECOND, "{name}: {found}");
    }
    let scaled = Attributes::new().with("multiplier", 1).with("shift", 0);
    let table = work("softmax", scaled, vec![value(Element::I32, &[1]), words(1 << 16)]);
    assert!(table.call >= (1 << 16) * NANOSECOND, "its table is widened for each call: {table:?}");
}

#[test]
fn attention_counts_the_head_that_is_multiplied_and_not_the_one_that_is_written() {
    let scaled = Attributes::new().with("multiplier", 1).with("shift", 0);
    // Queries, keys, head, width: an output is a sum over the keys, each a product over the head.
    let found = row(
        "attend",
        scaled.clone(),
        vec![value(Element::I8, &[64, 512]), value(Element::I8, &[128, 512]), value(Element::I8, &[128, 1]), words(2)],
    );
    assert!(found >= 64 * 128 * (512 + 16 + NANOSECOND), "{found}");
    let alone = row(
        "attend",
        scaled,
        vec![
            value(Element::I16, &[64, 512]),
            value(Element::I16, &[128, 512]),
            value(Element::I16, &[128, 1]),
            words(2),
        ],
    );
    assert!(alone >= 64 * 128 * 512 * NANOSECOND / 2, "words have no kernel: {alone}");
    for name in ["attention_f32", "attention_q8_f32"] {
        let heads = Attributes::new().with("heads", 2).with("kv_heads", 1);
        let inputs = [512 * 2, 512, 1].map(|width| value(Element::F32, &[width]));
        let found = work(name, heads, inputs.into());
        assert!(found.pair >= 2 * (512 + 1 + 3 * NANOSECOND) && found.row >= 64 * found.pair, "{name}: {found:?}");
    }
    let heads = Attributes::new().with("heads", 2).with("kv_heads", 1).with("multiplier", 1).with("shift", 0);
    let inputs = [512 * 2, 512, 1].map(|width| value(Element::I8, &[width]));
    let found = work("attention", heads, inputs.into_iter().chain([words(2)]).collect());
    assert!(found.pair >= 2 * (512 + 1 + 32), "{found:?}");
}

#[test]
fn experts_are_chosen_at_the_price_of_keeping_them_in_order() {
    for (name, element) in [("choose_experts_f32", Element::F32), ("choose_experts", Element::I32)] {
        let choose = |count: i64| row(name, Attributes::new().with("count", count), vec![value(element, &[4096])]);
        assert!(choose(4096) >= 4096 * 4096 * NANOSECOND / 4, "one that comes late moves all: {}", choose(4096));
        assert!(choose(8) < 4096 * 10 * NANOSECOND, "{}", choose(8));
    }
}

#[test]
fn weights_cost_their_products_in_whole_tiles_and_are_read_for_each_call() {
    let found = work("linear", Attributes::new(), vec![value(Element::I8, &[1 << 10]), weights(&[1, 1 << 10])]);
    assert!(found.row >= 16 << 10, "{found:?}");
    assert_eq!(found.call, 4 * (16 << 10));
    let thin = work("linear", Attributes::new(), vec![value(Element::I8, &[1]), weights(&[1 << 10, 1])]);
    assert!(thin.row >= (1 << 10) * NANOSECOND / 2, "{thin:?}");
}

#[test]
fn a_convolution_that_no_kernel_covers_is_priced_as_its_meaning_runs() {
    let scale =
        |groups: i64| windows(&[3, 3]).with("groups", groups).with("element", 1).with("low", -128).with("high", 127);
    let convolve = |groups: usize, channels: usize| {
        let outputs = 32;
        let given = vec![
            value(Element::I8, &[10, 10, channels]),
            weights(&[outputs, 9 * channels / groups]),
            whole(&[outputs], vec![0; outputs]),
            whole(&[1], [1]),
            Given::Constant(Tensor::of(&[1], Data::U8(vec![8]))),
        ];
        row("convolve", scale(groups as i64), given)
    };
    let products = |channels: u64, groups: u64| 64 * 32 * 9 * channels / groups;
    assert!((products(32, 1)..3 * products(32, 1)).contains(&convolve(1, 32)), "{}", convolve(1, 32));
    assert!((products(32, 2)..5 * products(32, 2)).contains(&convolve(2, 32)), "{}", convolve(2, 32));
    assert!(convolve(8, 32) >= products(32, 8) * NANOSECOND / 2, "{}", convolve(8, 32));
    let mut padded = scale(1);
    padded = Attributes::new()
        .with("kernel", vec![1, 1])
        .with("strides", vec![4_000, 4_000])
        .with("dilations", vec![1, 1])
        .with("pads", vec![2_000, 2_000, 2_000, 2_000])
        .with("groups", 1)
        .with("element", padded.integer("element").unwrap())
        .with("low", -128)
        .with("high", 127);
    let given = vec![
        value(Element::I8, &[1, 1, 1]),
        weights(&[1, 1]),
        whole(&[1], [0]),
        whole(&[1], [1]),
        Given::Constant(Tensor::of(&[1], Data::U8(vec![8]))),
    ];
    assert!(row("convolve", padded, given) >= 4_001 * 4_001, "padding is written too");
}

#[test]
fn weights_that_a_meaning_multiplies_out_have_their_price() {
    let convolve = |groups: usize| {
        let attributes = windows(&[3, 3]).with("groups", groups as i64).with("element", 1);
        let given = vec![
            value(Element::I8, &[10, 10, 32]),
            weights(&[32, 9 * 32 / groups]),
            whole(&[32], vec![0; 32]),
            whole(&[1], [1]),
            Given::Constant(Tensor::of(&[1], Data::U8(vec![8]))),
        ];
        work("convolve", attributes.with("low", -128).with("high", 127), given)
    };
    // Rows of 144 columns lie in blocks of 64; those of 36, which no kernel takes, are one block each.
    let (fast, alone) = (convolve(2), convolve(8));
    assert_eq!(fast.call, 4 * 32 * 192);
    assert!(alone.call >= 32 * 64 * 3 * NANOSECOND, "{alone:?}");
    assert!(
        alone.row >= 64 * (32 * 36 + 9 * 30) * NANOSECOND,
        "and each place of each window is found anew: {alone:?}"
    );
    let experts = |element: Element, shift: u8| {
        let attributes = Attributes::new().with("element", i64::from(element.code())).with("low", 0);
        let given = vec![
            value(Element::I8, &[2, 64]),
            weights(&[2, 48, 64]),
            whole(&[2, 48], vec![1; 96]),
            Given::Constant(Tensor::of(&[2, 48], Data::U8(vec![shift; 96]))),
        ];
        work("linear_experts", attributes.with("high", 100), given)
    };
    let fast = experts(Element::I8, 8);
    assert_eq!(fast.call, 4 * 2 * 48 * 64);
    for alone in [experts(Element::U8, 8), experts(Element::I8, 0)] {
        assert!(alone.call >= fast.call + 2 * 96 * 3 * NANOSECOND, "both tables are widened: {alone:?}");
        assert!(alone.row >= 2 * 48 * 64 * 4 * NANOSECOND, "a row is multiplied out for each output: {alone:?}");
    }
}

#[test]
fn sizes_beyond_all_bounds_saturate_and_divide_by_nothing() {
    let vast = 1 << 21;
    let mut graph = Graph::default();
    let shape = Shape::rows(&[vast, vast, vast, 1 << 4]);
    let interval = Interval { low: 0, high: 1 };
    graph.inputs.push(Input { name: "x".into(), element: Element::I8, shape, interval });
    let source = graph.node("node", ops::find("pool_max").unwrap(), windows(&[1]), &[Source::Input(0)]);
    graph.outputs.push(Output { name: "y".into(), source });
    assert!(graph.check(1).unwrap_err().to_string().contains("bytes of intermediate values"));
}

#[test]
fn the_norms_of_weights_are_worked_out_once_for_all_nodes() {
    let mut graph = Graph::default();
    let interval = Interval { low: 0, high: 1 };
    graph.inputs.push(Input { name: "x".into(), element: Element::I8, shape: Shape::rows(&[64]), interval });
    let Given::Constant(weights) = weights(&[64, 64]) else { unreachable!() };
    let weights = graph.constant("w", weights);
    for _ in 0..9 {
        let source = graph.node("node", ops::find("linear").unwrap(), Attributes::new(), &[Source::Input(0), weights]);
        graph.outputs.push(Output { name: "y".into(), source });
    }
    let checked = graph.check(1).unwrap();
    let all: Vec<Arc<Norms>> = checked
        .graph()
        .nodes
        .iter()
        .map(|node| {
            let facts = checked.input_facts(node).unwrap();
            facts[1].derived.get::<Norms>(&[], || panic!("nobody has asked for them"))
        })
        .collect();
    assert!(all.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
}
