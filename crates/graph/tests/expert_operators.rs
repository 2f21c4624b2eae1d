//! Facts about the integer operators of windows, caps and experts: what they compute, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    Attributes, Data, Element, Graph, GraphRefusal, Input, Interval, Output, Packed, Shape, Source, Tensor, evaluate,
    ops::find,
};

/// What a node is given: a value of the caller within ± a magnitude, or a constant.
enum Given {
    Value(Tensor, Interval),
    Constant(Tensor),
}

fn value(element: Element, shape: &[usize], values: &[i64], most: i64) -> Given {
    let tensor = Tensor::of_integers(element, shape, values.to_vec()).unwrap();
    Given::Value(tensor, Interval { low: -most, high: most })
}

fn choice(shape: &[usize], values: &[i64], experts: i64) -> Given {
    let tensor = Tensor::of_integers(Element::I32, shape, values.to_vec()).unwrap();
    Given::Value(tensor, Interval { low: 0, high: experts - 1 })
}

fn constant(element: Element, shape: &[usize], values: &[i64]) -> Given {
    Given::Constant(Tensor::of_integers(element, shape, values.to_vec()).unwrap())
}

fn packed(shape: &[usize], values: &[i8]) -> Given {
    Given::Constant(Tensor::packed(shape, Packed::of_integers(shape, values).unwrap()))
}

fn run(name: &str, attributes: &Attributes, given: Vec<Given>) -> Result<Vec<i64>, GraphRefusal> {
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
    let source = graph.node("node", find(name).unwrap(), attributes.clone(), &sources);
    graph.outputs.push(Output { name: "y".into(), source });
    let checked = graph.check(8)?;
    let output = evaluate(&checked, &inputs).unwrap().remove(0);
    Ok(output.integers().unwrap())
}

fn refused(name: &str, attributes: &Attributes, given: Vec<Given>, said: &str) {
    let refusal = run(name, attributes, given).unwrap_err().to_string();
    assert!(refusal.contains(said), "{refusal} lacks {said:?}");
}

fn attention(change: impl FnOnce(&mut Vec<Given>)) -> Vec<Given> {
    let mut given = vec![
        value(Element::I16, &[3, 2], &[10, 0, 0, 10, 10, 10], 1000),
        value(Element::I8, &[3, 2], &[1, 2, 3, 4, -5, 6], 127),
        value(Element::I8, &[3, 1], &[1, 10, 100], 127),
        constant(Element::I16, &[3], &[16_384, 100, 0]),
    ];
    change(&mut given);
    given
}

fn heads() -> Attributes {
    Attributes::new().with("heads", 1).with("kv_heads", 1).with("multiplier", 1).with("shift", 0)
}

#[test]
fn a_window_hides_what_lies_further_back_and_a_cap_makes_scores_alike() {
    let alone = run("attention", &heads().with("window", 1), attention(|_| ())).unwrap();
    assert_eq!(alone, [256, 2560, 25_600]);
    let all = run("attention", &heads(), attention(|_| ())).unwrap();
    assert_eq!(run("attention", &heads().with("window", 3), attention(|_| ())).unwrap(), all);
    // The second query sees scores 20 and 40: the greater one alone, for the table ends after three steps.
    assert_eq!(all[1], 2560);
    // With a cap of two entries both are 7.
    let caps = heads().with("cap_multiplier", 1).with("cap_shift", 0);
    let capped = attention(|given| given.push(constant(Element::I16, &[2], &[0, 7])));
    // The last query sees 30, 70 and 10; all are capped.
    assert_eq!(run("attention", &caps, capped).unwrap(), [256, 1408, 9472]);
}

#[test]
fn attention_refuses_caps_windows_and_values_that_do_not_fit() {
    refused("attention", &heads().with("window", 0), attention(|_| ()), "window");
    let caps = heads().with("cap_multiplier", 1).with("cap_shift", 0);
    refused("attention", &caps, attention(|_| ()), "a table of caps beside it");
    let table = |values: &[i64]| {
        let table = constant(Element::I16, &[values.len()], values);
        attention(|given| given.push(table))
    };
    refused("attention", &heads(), table(&[0, 5]), "cap_multiplier");
    refused("attention", &caps, table(&[0, -5]), "no entry below 0");
    refused("attention", &caps.clone().with("cap_shift", 63), table(&[0, 5]), "cap_shift");
    let computed = attention(|given| given.push(value(Element::I16, &[3], &[0, 1, 2], 5)));
    refused("attention", &caps, computed, "constant");
    let two = heads().with("heads", 2).with("kv_heads", 2);
    refused("attention", &two, attention(|_| ()), "multiple of 2 heads");
}

#[test]
fn the_greatest_experts_are_chosen_and_the_lowest_index_wins_ties() {
    let scores = || value(Element::I32, &[2, 4], &[3, 9, 9, 1, -1, -1, -1, -1], 10);
    let two = Attributes::new().with("count", 2);
    assert_eq!(run("choose_experts", &two, vec![scores()]).unwrap(), [1, 2, 0, 1]);
    let bias = constant(Element::I32, &[4], &[0, 0, 0, 20]);
    assert_eq!(run("choose_experts", &two, vec![scores(), bias]).unwrap(), [3, 1, 3, 0]);
    // Groups of two: 3 + 9 beside 9 + 1.
    let groups = two.clone().with("groups", 2).with("kept", 1).with("best", 2);
    assert_eq!(run("choose_experts", &groups, vec![scores()]).unwrap(), [1, 0, 0, 1]);
    refused("choose_experts", &Attributes::new().with("count", 5), vec![scores()], "count");
    refused("choose_experts", &two.clone().with("groups", 3), vec![scores()], "groups");
    refused("choose_experts", &two, vec![value(Element::I16, &[1, 4], &[0; 4], 9)], "i32");
    let long = constant(Element::I32, &[5], &[0; 5]);
    refused("choose_experts", &two, vec![scores(), long], "[4]");
    let wide = value(Element::I32, &[1, 4097], &[0; 4097], 9);
    refused("choose_experts", &two, vec![wide], "at most 4096 experts");
}

#[test]
fn chosen_numbers_are_those_at_their_indices() {
    let x = || value(Element::I16, &[2, 3], &[10, 20, 30, 40, 50, 60], 100);
    let none = Attributes::new();
    let found = run("gather_chosen", &none, vec![x(), choice(&[2, 2], &[2, 0, 1, 1], 3)]).unwrap();
    assert_eq!(found, [30, 10, 50, 50]);
    refused("gather_chosen", &none, vec![x(), choice(&[2, 2], &[0; 4], 4)], "the rows of the table");
    refused("gather_chosen", &none, vec![x(), choice(&[2], &[0; 2], 3)], "innermost size");
}

fn scaled(element: Element, most: i64) -> Attributes {
    Attributes::new().with("element", i64::from(element.code())).with("low", -most).with("high", most)
}

#[test]
fn each_slot_passes_the_matrix_of_its_expert_and_its_scale() {
    let weights = || packed(&[2, 2, 2], &[1, 2, 3, 4, -1, 0, 0, -1]);
    let multipliers = || constant(Element::I32, &[2, 2], &[1, 1, 8, 1]);
    let shifts = || constant(Element::U8, &[2, 2], &[0, 1, 1, 0]);
    let x = || value(Element::I8, &[1, 2], &[10, 20], 127);
    let words = scaled(Element::I16, 1000);
    let given = |choice: Vec<Given>| {
        [x(), weights(), multipliers(), shifts()].into_iter().chain(choice).collect::<Vec<Given>>()
    };
    let shared = run("linear_experts", &words, given(vec![choice(&[1, 2], &[1, 0], 2)])).unwrap();
    assert_eq!(shared, [-40, -20, 50, 55]);
    let narrow = run("linear_experts", &scaled(Element::I8, 45), given(vec![choice(&[1, 2], &[1, 0], 2)])).unwrap();
    assert_eq!(narrow, [-40, -20, 45, 45]);
    let own = vec![value(Element::I8, &[1, 2, 2], &[10, 20, 10, 20], 127), weights(), multipliers(), shifts()];
    assert_eq!(run("linear_experts", &words, own).unwrap(), [50, 55, -40, -20]);
    refused("linear_experts", &words, given(Vec::new()), "a slot for each of 2 matrices");
    refused("linear_experts", &words, given(vec![choice(&[1, 2], &[0; 2], 3)]), "the rows of the table");
    let floats = Given::Value(Tensor::of(&[1, 2], Data::F32(vec![0.0; 2])), Interval::of(Element::F32));
    refused("linear_experts", &words, vec![floats, weights(), multipliers(), shifts()], "i8, u8 or i16");
    let short = constant(Element::I32, &[2], &[1, 1]);
    let one = || choice(&[1, 1], &[0], 2);
    refused("linear_experts", &words, vec![x(), weights(), short, shifts(), one()], "[2, 2]");
    let negative = constant(Element::I32, &[2, 2], &[1, -1, 1, 1]);
    refused("linear_experts", &words, vec![x(), weights(), negative, shifts(), one()], "multipliers from 0");
    let far = constant(Element::U8, &[2, 2], &[63, 0, 0, 0]);
    refused("linear_experts", &words, vec![x(), weights(), multipliers(), far, one()], "shifts to 62");
    let heavy = packed(&[1, 1, 300], &[127; 300]);
    let long = value(Element::I16, &[1, 300], &[0; 300], 32_767);
    let (multiplier, shift) = (constant(Element::I32, &[1, 1], &[1]), constant(Element::U8, &[1, 1], &[0]));
    let given = vec![long, heavy, multiplier, shift, choice(&[1, 1], &[0], 1)];
    refused("linear_experts", &words, given, "accumulator");
}

#[test]
fn what_experts_say_counts_by_their_weights() {
    let said = |most: i64| value(Element::I32, &[1, 2, 2], &[100, -100, 7, 8], most);
    let weights = || value(Element::I16, &[1, 2], &[3, 1], 16_384);
    let by = scaled(Element::I32, 200).with("shift", 1);
    assert_eq!(run("combine_experts", &by, vec![said(100), weights()]).unwrap(), [154, -146]);
    let cut = scaled(Element::I8, 100).with("shift", 1);
    assert_eq!(run("combine_experts", &cut, vec![said(100), weights()]).unwrap(), [100, -100]);
    refused("combine_experts", &by.clone().with("shift", 63), vec![said(100), weights()], "shift");
    refused("combine_experts", &by.clone().with("low", 300), vec![said(100), weights()], "low");
    let three = value(Element::I16, &[1, 3], &[0; 3], 9);
    refused("combine_experts", &by, vec![said(100), three], "one size behind");
    let wide = value(Element::I32, &[1, 2], &[0; 2], i64::from(i32::MAX));
    refused("combine_experts", &by, vec![said(i64::from(i32::MAX)), wide], "2^61");
    let long = value(Element::I64, &[1, 2], &[0; 2], 9);
    refused("combine_experts", &by, vec![said(100), long], "at most 32 bits");
}
