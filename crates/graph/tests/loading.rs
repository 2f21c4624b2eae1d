//! What loading a graph may take of its constants: what is made of them is made once for all nodes that share them, and what is too much is
//! refused with the name of its node.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    Attributes, Data, Element, Graph, GraphRefusal, Input, Interval, Output, Packed, Refusal, Shape, Source, Tensor,
    loading::{BYTES_LEAST, NUMBERS_LEAST, TIMES},
    ops::find,
};

/// Of one input that is the output too, and no node yet.
fn graph(element: Element, width: usize) -> Graph {
    let mut graph = Graph::default();
    let interval = Interval { low: 0, high: 1 };
    graph.inputs.push(Input { name: "x".into(), element, shape: Shape::rows(&[width]), interval });
    graph.outputs.push(Output { name: "y".into(), source: Source::Input(0) });
    graph
}

#[test]
fn what_kernels_keep_of_constants_is_counted_once_for_all_nodes_that_share_them() {
    const CHANNELS: usize = 1 << 16;
    let mut graph = graph(Element::I32, CHANNELS);
    let shifts = graph.constant("s", Tensor::of(&[CHANNELS], Data::U8(vec![3; CHANNELS])));
    let multiplier = |graph: &mut Graph, value: i32| graph.constant("m", Tensor::of(&[1], Data::I32(vec![value])));
    let scale = |graph: &mut Graph, name: String, multiplier: Source| {
        let attributes = Attributes::new().with("axis", 1).with("element", 1).with("low", -9).with("high", 9);
        graph.node(name, find("requantise").unwrap(), attributes, &[Source::Input(0), multiplier, shifts]);
    };
    let one = multiplier(&mut graph, 1);
    (0..100).for_each(|at| scale(&mut graph, format!("same {at}"), one));
    assert!(graph.clone().check(1).is_ok());
    // Factors, shifts and what rounds, for each channel: the few bytes of another multiplier ask for them anew.
    for at in 0..64 {
        let other = multiplier(&mut graph, at);
        scale(&mut graph, format!("other {at}"), other);
    }
    let limit = BYTES_LEAST + TIMES * (CHANNELS as u64 + 4 * 65);
    let refused = GraphRefusal::Node {
        name: format!("other {}", limit / (33 * CHANNELS as u64) - 1),
        operator: "requantise",
        cause: Refusal::Kept { limit },
    };
    assert_eq!(graph.check(1).unwrap_err(), refused);
}

#[test]
fn so_many_nodes_over_one_constant_that_loading_takes_long_are_refused_by_name() {
    const OUTPUTS: usize = 1 << 18;
    let mut graph = graph(Element::I8, 1);
    let weights = Packed::of_integers(&[OUTPUTS, 1], &vec![1; OUTPUTS]).unwrap();
    let bytes = weights.bytes().len() as u64;
    let weights = graph.constant("w", Tensor::packed(&[OUTPUTS, 1], weights));
    let limit = NUMBERS_LEAST + TIMES * bytes;
    // The weights themselves are walked through once, what is known of their rows by each node.
    let fit = (limit - bytes) / OUTPUTS as u64;
    for at in 0..=fit {
        let inputs = [Source::Input(0), weights];
        graph.node(at.to_string(), find("linear").unwrap(), Attributes::new(), &inputs);
    }
    let cause = Refusal::Walked { limit };
    assert_eq!(graph.check(1).unwrap_err(), GraphRefusal::Node { name: fit.to_string(), operator: "linear", cause });
}

#[test]
fn trees_are_walked_through_once_for_all_nodes_that_share_them() {
    let whole = |shape: &[usize], values: Vec<i32>| Tensor::of(shape, Data::I32(values));
    // A ladder of shared branches, walked through from a thousand roots: some million steps, and as many for each of a thousand nodes would be too much.
    let ladder =
        (0..4096).flat_map(|at| [0, 0, if at == 4095 { -1 } else { at + 1 }, if at == 4095 { -1 } else { at + 1 }]);
    let mut graph = graph(Element::I32, 1);
    let tensors = [
        whole(&[4096, 4], ladder.collect()),
        whole(&[2], vec![0, 1]),
        whole(&[1, 2], vec![0, 1]),
        whole(&[1_000], vec![0; 1_000]),
    ];
    let constants = tensors.map(|tensor| graph.constant("c", tensor));
    let inputs = [&[Source::Input(0)][..], &constants].concat();
    for at in 0..1_000 {
        graph.node(at.to_string(), find("trees").unwrap(), Attributes::new().with("targets", 1), &inputs);
    }
    let checked = graph.check(1).unwrap();
    let intervals = (0..1_000).map(|node| checked.node_fact(node).unwrap().interval);
    assert!(intervals.into_iter().all(|interval| interval == Interval { low: 1_000, high: 1_000 }));
}

#[test]
fn a_target_that_nobody_votes_for_and_a_row_that_is_too_short_are_seen_for_each_node() {
    let whole = |shape: &[usize], values: Vec<i32>| Tensor::of(shape, Data::I32(values));
    let mut graph = graph(Element::I32, 2);
    let narrow = Input { name: "narrow".into(), shape: Shape::rows(&[1]), ..graph.inputs[0].clone() };
    graph.inputs.push(narrow);
    let tensors = [
        whole(&[1, 4], vec![1, 0, -1, -2]),
        whole(&[3], vec![0, 1, 2]),
        whole(&[2, 2], vec![0, 5, 0, 7]),
        whole(&[1], vec![0]),
    ];
    let constants = tensors.map(|tensor| graph.constant("c", tensor));
    let node = |graph: &mut Graph, input: usize, targets: i64| {
        let inputs = [&[Source::Input(input)][..], &constants].concat();
        graph.node(targets.to_string(), find("trees").unwrap(), Attributes::new().with("targets", targets), &inputs);
    };
    node(&mut graph, 0, 1);
    node(&mut graph, 0, 2);
    let checked = graph.clone().check(1).unwrap();
    let intervals = [0, 1].map(|node| checked.node_fact(node).unwrap().interval);
    assert_eq!(intervals, [Interval { low: 5, high: 7 }, Interval { low: 0, high: 7 }]);
    node(&mut graph, 1, 3);
    let refused = graph.check(1).unwrap_err().to_string();
    assert!(refused.contains("node 3 (trees)") && refused.contains("features that the row has"), "{refused}");
}
