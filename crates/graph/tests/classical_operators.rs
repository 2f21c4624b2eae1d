//! Facts about the operators of classical models: what they compute, to the bit, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    Attributes, Data, Element, Graph, GraphRefusal, Input, Interval, Output, Shape, Source, Tensor, evaluate, ops,
};

fn list(element: Element, shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::of_integers(element, shape, values.iter().copied()).unwrap()
}

fn whole(shape: &[usize], values: &[i64]) -> Tensor {
    list(Element::I32, shape, values)
}

/// A graph of one node over the caller's `x`, within an interval.
fn run(
    name: &str,
    attributes: Attributes,
    x: Tensor,
    interval: Interval,
    constants: &[Tensor],
) -> Result<Tensor, GraphRefusal> {
    let shape = Shape::rows(&x.shape()[1..]);
    let input = Input { name: "x".to_owned(), element: x.element(), shape, interval };
    let mut graph = Graph { inputs: vec![input], ..Graph::default() };
    let mut sources = vec![Source::Input(0)];
    sources.extend(constants.iter().map(|tensor| graph.constant("c", tensor.clone())));
    let source = graph.node("node", ops::find(name).unwrap(), attributes, &sources);
    graph.outputs.push(Output { name: "y".to_owned(), source });
    let checked = graph.check(8)?;
    let found = evaluate(&checked, &[x]).unwrap().remove(0);
    let (interval, (low, high)) = (checked.fact(source).unwrap().interval, found.extremes().unwrap());
    assert!(interval.low <= low && high <= interval.high, "{name}: {low} to {high} outside of {interval:?}");
    Ok(found)
}

fn refused(name: &str, attributes: Attributes, x: Tensor, constants: &[Tensor], said: &str) {
    let refusal = run(name, attributes, x.clone(), Interval::of(x.element()), constants).unwrap_err().to_string();
    assert!(refusal.contains(said), "{refusal} lacks {said:?}");
}

/// Split 0 asks whether feature 1 is at most 10, split 1 whether feature 0 is at most -3; three leaves, the last without votes.
fn forest() -> [Tensor; 4] {
    let splits = whole(&[2, 4], &[1, 10, 1, -1, 0, -3, -2, -3]);
    let (leaves, votes) = (whole(&[4], &[0, 2, 3, 3]), whole(&[3, 2], &[0, 100, 1, -7, 0, 5]));
    [splits, leaves, votes, whole(&[2], &[0, -2])]
}

fn targets(count: i64) -> Attributes {
    Attributes::new().with("targets", count)
}

#[test]
fn a_walk_ends_at_a_leaf_and_the_leaves_of_all_trees_are_summed() {
    let x = whole(&[4, 2], &[0, 11, -3, 10, -2, 10, i64::from(i32::MIN), i64::from(i32::MIN)]);
    let found = run("trees", targets(2), x, Interval::of(Element::I32), &forest()).unwrap();
    // The second tree is leaf 1 alone: 5 more for target 0.
    assert_eq!(found, whole(&[4, 2], &[105, -7, 10, 0, 5, 0, 10, 0]));
}

#[test]
fn trees_that_do_not_end_or_name_what_is_not_there_are_refused() {
    let x = whole(&[1, 2], &[0, 0]);
    let with = |place: usize, tensor: Tensor| {
        let mut all = forest();
        all[place] = tensor;
        all
    };
    let itself = with(0, whole(&[2, 4], &[1, 10, 0, -1, 0, -3, -2, -3]));
    refused("trees", targets(2), x.clone(), &itself, "leaves and later splits");
    let back = with(0, whole(&[2, 4], &[1, 10, 1, -1, 0, -3, 0, -3]));
    refused("trees", targets(2), x.clone(), &back, "leaves and later splits");
    let leaf = with(0, whole(&[2, 4], &[1, 10, 1, -5, 0, -3, -2, -3]));
    refused("trees", targets(2), x.clone(), &leaf, "leaves and later splits");
    let feature = with(0, whole(&[2, 4], &[2, 10, 1, -1, 0, -3, -2, -3]));
    refused("trees", targets(2), x.clone(), &feature, "features that the row has");
    let starts = with(1, whole(&[4], &[0, 3, 2, 3]));
    refused("trees", targets(2), x.clone(), &starts, "starts that rise from 0 to the number of votes");
    let short = with(1, whole(&[4], &[0, 1, 2, 2]));
    refused("trees", targets(2), x.clone(), &short, "starts that rise from 0 to the number of votes");
    refused("trees", targets(1), x.clone(), &forest(), "targets that there are");
    let root = with(3, whole(&[1], &[2]));
    refused("trees", targets(2), x.clone(), &root, "splits and leaves that there are");
    let shape = with(2, whole(&[6], &[0, 100, 1, -7, 0, 5]));
    refused("trees", targets(2), x.clone(), &shape, "[numbers, 2]");
    refused("trees", targets(0), x.clone(), &forest(), "targets");
    refused("trees", targets(2), list(Element::I64, &[1, 2], &[0, 0]), &forest(), "at most 32 bits");
    let heavy = with(2, whole(&[3, 2], &[0, 1 << 30, 1, -7, 0, 5]));
    refused("trees", targets(2), x, &heavy, "the accumulator's 2^30");
}

#[test]
fn a_forest_that_takes_too_long_to_check_is_refused() {
    // A ladder of shared branches, walked through by every root.
    let splits: Vec<i64> = (0..4096)
        .flat_map(|at| {
            let next = if at == 4095 { -1 } else { at + 1 };
            [0, 0, next, next]
        })
        .collect();
    let roots = vec![0; 4096];
    let constants = [whole(&[4096, 4], &splits), whole(&[2], &[0, 1]), whole(&[1, 2], &[0, 1]), whole(&[4096], &roots)];
    refused("trees", targets(1), whole(&[1, 1], &[0]), &constants, "2^24 nodes and votes of trees");
}

#[test]
fn wide_sums_are_rounded_once_and_cut() {
    let weights = whole(&[2, 2], &[1 << 30, -(1 << 30), 3, 5]);
    let bias = list(Element::I64, &[2], &[1 << 40, -9]);
    let scale = Attributes::new().with("element", 4).with("low", -50).with("high", 1 << 20).with("shift", 2);
    let interval = Interval { low: -(1 << 20), high: 1 << 20 };
    let x = whole(&[2, 2], &[1, 1 << 20, 2, -3]);
    let found = run("weigh", scale.clone(), x, interval, &[weights.clone(), bias.clone()]).unwrap();
    assert_eq!(found, whole(&[2, 2], &[-50, 1 << 20, 1 << 20, -4]));
    let x = || whole(&[1, 2], &[0, 0]);
    refused("weigh", scale.clone(), x(), &[weights.clone(), bias.clone()], "the sum's 2^61");
    refused("weigh", scale.clone(), whole(&[1, 3], &[0, 0, 0]), &[weights.clone(), bias.clone()], "[outputs, 3]");
    refused(
        "weigh",
        scale.clone().with("low", 1 << 21),
        x(),
        &[whole(&[2, 2], &[0; 4]), bias.clone()],
        "attribute low",
    );
    refused("weigh", scale.clone().with("element", 5), x(), &[weights.clone(), bias.clone()], "attribute element");
    refused("weigh", scale.clone().with("shift", 63), x(), &[weights.clone(), bias.clone()], "attribute shift");
    refused("weigh", scale.clone(), x(), &[weights.clone(), list(Element::I64, &[1], &[0])], "[2]");
    refused("weigh", scale, list(Element::I64, &[1, 2], &[0, 0]), &[weights, bias], "at most 32 bits");
}

#[test]
fn the_first_of_equal_numbers_is_the_greatest() {
    let x = whole(&[3, 3], &[4, 7, 7, -1, -1, -1, 3, 2, 9]);
    let found = run("greatest", Attributes::new(), x, Interval::of(Element::I32), &[]).unwrap();
    assert_eq!(found, whole(&[3], &[1, 0, 2]));
    refused("greatest", Attributes::new(), whole(&[1, 0], &[]), &[], "an innermost size that is fixed and not 0");
}

#[test]
fn shares_come_to_one_and_a_row_of_zeros_stays() {
    let x = whole(&[2, 3], &[1, 2, 1, 0, 0, 0]);
    let found = run("share", Attributes::new(), x.clone(), Interval { low: 0, high: 9 }, &[]).unwrap();
    assert_eq!(found, list(Element::I16, &[2, 3], &[4096, 8192, 4096, 0, 0, 0]));
    refused("share", Attributes::new(), x, &[], "the numbers from 0");
    let wide = list(Element::I64, &[1, 3], &[0, 0, 0]);
    let much = run("share", Attributes::new(), wide, Interval { low: 0, high: 1 << 35 }, &[]).unwrap_err();
    assert!(much.to_string().contains("the row's 2^35"), "{much}");
}

#[test]
fn floats_enter_in_their_order() {
    let x = Tensor::of(&[1, 6], Data::F32(vec![-1.0, -0.0, 0.0, 1e-45, 1.0, f32::MAX]));
    let found = run("order", Attributes::new(), x, Interval { low: 0, high: 0 }, &[]).unwrap();
    assert_eq!(found, whole(&[1, 6], &[-0x3f80_0000, 0, 0, 1, 0x3f80_0000, 0x7f7f_ffff]));
    refused("order", Attributes::new(), whole(&[1, 1], &[0]), &[], "expected f32");
}
